# The build has what RocksDB and librdkafka need; the image has the binary, its libraries and a user without rights.
FROM rust:1.95-bookworm AS build
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends cmake pkg-config libssl-dev libclang-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /edgefeed
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY storage storage
COPY sync sync
COPY sql sql
COPY benches benches
COPY tests tests
RUN cargo build --profile dist --locked --workspace --bin edgefeed \
 && cp target/dist/edgefeed /usr/local/bin/edgefeed

FROM debian:bookworm-slim
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends libssl3 ca-certificates zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/edgefeed --create-home edgefeed \
 && chmod 0700 /var/lib/edgefeed
COPY --from=build /usr/local/bin/edgefeed /usr/local/bin/edgefeed
COPY edgefeed.example.toml /etc/edgefeed/edgefeed.example.toml
USER edgefeed
WORKDIR /var/lib/edgefeed
ENV EDGEFEED__STORAGE__DIR=/var/lib/edgefeed/data
VOLUME /var/lib/edgefeed
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/edgefeed"]
CMD ["serve", "--config", "/etc/edgefeed/edgefeed.toml"]
