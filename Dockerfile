# Builds the controller and copies it into an image that contains nothing else.
#
# Both base images are pinned by digest, and Dependabot updates the two lines below. Build arguments replace them:
#   docker build --build-arg RUNTIME_BASE=registry.example.com/static:nonroot .
# `scratch` works too: the program is static and contains CA roots and time zones.
ARG BUILD_BASE=build-base
ARG RUNTIME_BASE=runtime-base
FROM docker.io/library/rust:1.95-trixie@sha256:f49565f188ee00bc2a18dd418183f2c5f23ef7d6e691890517ed341a598f67c3 AS build-base
FROM gcr.io/distroless/static-debian13:nonroot@sha256:f7f8f729987ad0fdf6b05eeeae94b26e6a0f613bdf46feea7fc40f7bd72953e6 AS runtime-base

FROM ${BUILD_BASE} AS build
ARG CARGO_AUDITABLE_VERSION=0.7.7
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install --quiet --locked --version "${CARGO_AUDITABLE_VERSION}" cargo-auditable
WORKDIR /src
COPY . .
# amd64 or arm64, set by the builder. Each architecture is built on a machine of that architecture, never
# cross-compiled.
ARG TARGETARCH
ARG REVISION=unknown
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=target-${TARGETARCH},target=/src/target \
    REVISION="${REVISION}" deploy/build secret-rotation-controller secret-rotation-controller /out \
    && install -D --mode=0644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt

FROM ${RUNTIME_BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="secret-rotation-controller" \
      org.opencontainers.image.description="Keeps AWS Secrets Manager rotations healthy without ever reading a value" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/secretrotation/secret-rotation-controller" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /out/ /
# A number, not a name: Kubernetes can verify runAsNonRoot only for a numeric user.
USER 65532:65532
ENTRYPOINT ["/secret-rotation-controller"]
