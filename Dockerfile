# An image with one static program and CA certificates; no shell, not root.
#
#   docker build --tag wix-sync .
#   docker run --rm --env-file .env wix-sync migrate
#   docker run --rm --env-file .env wix-sync sync
#
# docker's --env-file does not remove the quotes that a .env may have.

# The oldest Rust that works (rust-version in Cargo.toml).
FROM rust:1.89-alpine3.22 AS build
# A C compiler, for the cryptography of rustls.
# hadolint ignore=DL3018
RUN apk add --no-cache build-base
WORKDIR /build
COPY . .
# Alpine's target is musl: the binary is static.
RUN cargo build --release --locked --package wix-sync --bin wix-sync

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/release/wix-sync /usr/local/bin/wix-sync
# The user need not exist. Kubernetes checks the number for runAsNonRoot.
USER 65532:65532
# A .env mounted here is read.
WORKDIR /site
# Exec form, so that signals reach the program.
ENTRYPOINT ["/usr/local/bin/wix-sync"]
CMD ["--help"]
