# syntax=docker/dockerfile:1
# The base of the result: distroless brings CA roots and user 65532; `scratch` works too, with CA roots copied from the build.
ARG RUNTIME_BASE=gcr.io/distroless/static-debian12:nonroot
ARG BUILD_BASE=docker.io/library/rust:1.95-bookworm

FROM ${BUILD_BASE} AS build
WORKDIR /src
COPY . .
# A static binary needs nothing from the base image; paths of the build machine do not get into it.
ENV RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=/src=/build"
RUN cargo build --release --locked --target x86_64-unknown-linux-gnu --bin secret-rotation-controller

FROM ${RUNTIME_BASE}
LABEL org.opencontainers.image.title="secret-rotation-controller" \
      org.opencontainers.image.description="Keeps AWS Secrets Manager rotations healthy without ever reading a value" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/x86_64-unknown-linux-gnu/release/secret-rotation-controller /secret-rotation-controller
USER 65532:65532
ENTRYPOINT ["/secret-rotation-controller"]
