# Camshaft in a container: every command of `camshaft`, the compiled parts included. compose.yaml runs a cluster of it;
# `docker run --network host camshaft` runs all in one container, with a page for this machine.

FROM debian:trixie-slim AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev libssl-dev python3-dev python3-venv
WORKDIR /source
COPY setup.cfg setup.py compiled.py pyproject.toml MANIFEST.in README.md LICENSE ./
COPY broker broker
COPY camshaft camshaft
COPY common common
COPY egress egress
COPY transcode transcode
COPY relay relay
COPY ingest ingest
RUN python3 -m venv /opt/camshaft \
    && /opt/camshaft/bin/pip install --no-cache-dir . \
    && /opt/camshaft/bin/python -P -c "from camshaft.common import native; assert native.BUILT" \
    && /opt/camshaft/bin/python -P -c "from camshaft.egress import native; assert native.BUILT" \
    && /opt/camshaft/bin/python -P -c "from camshaft.ingest import native; assert native.BUILT"

FROM base
# OpenSSL's library, which the compiled loop encrypts with, comes with Python.
RUN useradd --system --uid 10001 --no-create-home camshaft \
    && install --directory --owner camshaft --group camshaft /run/camshaft /var/lib/camshaft
COPY --from=build /opt/camshaft /opt/camshaft
ENV PATH=/opt/camshaft/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_RUNTIME_DIR=/run \
    CAMSHAFT_EGRESS_COMPILED=always \
    CAMSHAFT_STORE_PATH=/var/lib/camshaft/camshaft.db
# Of a container that runs the broker or all of it; compose.yaml switches it off for the others.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["camshaft", "health"]
USER camshaft
WORKDIR /var/lib/camshaft
ENTRYPOINT ["camshaft"]
CMD ["serve"]
