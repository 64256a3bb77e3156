# Built in one image, run in another that holds the program, its configuration and nothing to build with.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY config config
RUN cargo build --release --locked && strip target/release/mainstay

FROM debian:bookworm-slim
# curl serves the health check, ca-certificates messages to nodes behind https.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /srv/mainstay --shell /usr/sbin/nologin mainstay \
    && install -d -o mainstay -g mainstay -m 0700 /srv/mainstay/data
COPY --from=build /src/target/release/mainstay /usr/local/bin/mainstay
COPY config /srv/mainstay/config
USER mainstay
WORKDIR /srv/mainstay
# The shipped configuration keeps its data beside it, and listens on loopback: run with `--network host`, or mount a
# configuration with an address and tokens at /srv/mainstay/config.
VOLUME /srv/mainstay/data
EXPOSE 8734
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["curl", "--fail", "--silent", "--show-error", "http://127.0.0.1:8734/readyz"]
ENTRYPOINT ["/usr/local/bin/mainstay"]
