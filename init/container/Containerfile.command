# One program, with upkeep in tini's place: it reaps what the program leaves behind, passes signals on and
# ends with the program's exit code. Beside this file stands the program, here called server:
#
#     podman build -t web -f Containerfile.command .
#     podman run web
#
# The program may need more than an empty image: then name another one as BASE.
ARG BASE=scratch
FROM localhost/upkeep AS upkeep
FROM ${BASE}
COPY --from=upkeep /upkeep /upkeep
COPY server /server

# What is behind -- is run; arguments of "podman run web" take the place of CMD. Services in /service are
# supervised too, if there are any.
ENTRYPOINT ["/upkeep", "--"]
CMD ["/server"]
