# Build: docker build -t dialgate .
# Run:   docker run --network host -v dialgate-data:/var/lib/dialgate -v ./my.yaml:/etc/dialgate.yaml:ro dialgate serve -c /etc/dialgate.yaml
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
# Static: no cgo, so that the binary runs in an image with nothing else in it.
# Time zones are embedded in the binary.
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /dialgate ./cmd/dialgate \
 && mkdir -p /var/lib/dialgate

FROM scratch
# A numeric user, so that Kubernetes can check runAsNonRoot without a passwd file.
COPY --from=build --chown=65532:65532 /var/lib/dialgate /var/lib/dialgate
COPY --from=build /dialgate /dialgate
USER 65532:65532
WORKDIR /var/lib/dialgate
VOLUME /var/lib/dialgate
EXPOSE 5060/udp 8060/tcp
# SIGTERM drains: running call set-ups finish, new calls are refused.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/dialgate"]
CMD ["serve"]
