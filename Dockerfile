# PostgreSQL 15 with pitr built in.
FROM debian:bookworm AS build
COPY . /src
WORKDIR /src
RUN scripts/install-dependencies --build-only \
 && cmake --preset release -DPITR_BUILD_TESTS=OFF -DPITR_BUILD_BENCH=OFF \
 && cmake --build --preset release \
 && cmake --install build/release --prefix /opt/pitr

FROM debian:bookworm
COPY --from=build /opt/pitr /usr/local
COPY scripts/install-dependencies deploy/docker/entrypoint /usr/local/lib/pitr/
RUN /usr/local/lib/pitr/install-dependencies --server-only \
 && install -d -o postgres -g postgres -m 700 /srv/pitr
USER postgres
ENV PITR_CLUSTER_DATA_DIRECTORY=/var/lib/postgresql/data \
    PITR_CLUSTER_CONNECTION="host=/var/run/postgresql dbname=postgres" \
    PITR_REPOSITORY_URL=file:///srv/pitr \
    PITR_STATE_DIRECTORY=/var/lib/postgresql/pitr
VOLUME ["/var/lib/postgresql", "/srv/pitr"]
EXPOSE 5432
ENTRYPOINT ["/usr/local/lib/pitr/entrypoint"]
