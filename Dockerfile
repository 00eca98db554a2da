# wix-sync in an image of its own: one static program and the certificates that it trusts, no shell, not root.
#
#   docker build --tag wix-sync .
#   docker run --rm --env-file .env wix-sync migrate
#   docker run --rm --env-file .env wix-sync sync all
#
# docker's --env-file takes values as they are: without the quotes that a .env may have.

# The oldest Rust that will do (rust-version in Cargo.toml); any newer one does as well.
FROM rust:1.89-alpine3.22 AS build
# A C compiler, for the cryptography of rustls.
# hadolint ignore=DL3018
RUN apk add --no-cache build-base
WORKDIR /build
COPY . .
# Alpine's own target is musl: what comes out needs no library.
RUN cargo build --release --locked --package wix-sync --bin wix-sync

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/release/wix-sync /usr/local/bin/wix-sync
# No such user has to exist; the number is what Kubernetes looks at for runAsNonRoot.
USER 65532:65532
# A .env that is mounted here is read.
WORKDIR /site
# Exec form: signals reach the program, which then finishes the batch in hand.
ENTRYPOINT ["/usr/local/bin/wix-sync"]
CMD ["--help"]
