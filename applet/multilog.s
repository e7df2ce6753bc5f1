// Beside an assembly file, which may be empty, a function may be without a body: waitUntilIdle has none here.
