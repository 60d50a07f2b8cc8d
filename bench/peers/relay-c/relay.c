/* The floor in C: a relay of datagrams that knows the consent set and nothing
 * else of SIP. It forwards what comes from the dialer to the carrier and back,
 * byte for byte, with one read and one write a message. An INVITE to a number
 * that is not on file gets 403. No transactions, no Via, no Record-Route: what
 * a call costs before a proxy has done any work.
 *
 *   cc -O2 -o relay relay.c
 *   PROXY_HOST PROXY_PORT CARRIER_HOST CARRIER_PORT BENCH_DATA in the environment
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LARGEST = 65536 };

static uint64_t *table; /* open addressing; 0 is an empty place */
static uint64_t mask;

static void fail(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);
	if (value == NULL || *value == 0) {
		fprintf(stderr, "relay: %s is not set\n", name);
		exit(2);
	}
	return value;
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	if (inet_pton(AF_INET, environment(host), &a.sin_addr) != 1)
		fail(host);
	return a;
}

static uint64_t place(uint64_t number)
{
	uint64_t at = (number * 0x9E3779B97F4A7C15u >> 20) & mask;
	while (table[at] != 0 && table[at] != number)
		at = (at + 1) & mask;
	return at;
}

static void load(const char *dir)
{
	char path[4096], line[64];
	snprintf(path, sizeof path, "%s/consent.txt", dir);
	FILE *f = fopen(path, "r");
	if (f == NULL)
		fail(path);
	uint64_t lines = 0;
	while (fgets(line, sizeof line, f) != NULL)
		lines++;
	for (mask = 1024; mask < 2 * lines; mask *= 2)
		;
	table = calloc(mask, sizeof *table);
	if (table == NULL)
		fail("memory for the numbers");
	mask--;
	rewind(f);
	while (fgets(line, sizeof line, f) != NULL) {
		uint64_t number = strtoull(line + 1, NULL, 10);
		if (number != 0)
			table[place(number)] = number;
	}
	fclose(f);
}

/* refuse writes a 403 to the request and returns its length. The five header
 * fields that an answer repeats are copied as they stand. */
static size_t refuse(const char *request, size_t length, char *answer)
{
	static const char *repeated[] = {"Via:", "From:", "To:", "Call-ID:", "CSeq:"};
	size_t n = (size_t)sprintf(answer, "SIP/2.0 403 Forbidden\r\n");
	const char *end = request + length, *line = request;
	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		if (stop == NULL || stop - line < 2)
			break;
		for (int i = 0; i < 5; i++) {
			if (strncmp(line, repeated[i], strlen(repeated[i])) != 0)
				continue;
			size_t bare = (size_t)(stop - line) - 1; /* without CR LF */
			memcpy(answer + n, line, bare);
			n += bare;
			if (i == 2)
				n += (size_t)sprintf(answer + n, ";tag=refused");
			n += (size_t)sprintf(answer + n, "\r\n");
			break;
		}
		line = stop + 1;
	}
	return n + (size_t)sprintf(answer + n, "Content-Length: 0\r\n\r\n");
}

int main(void)
{
	static char in[LARGEST + 1], out[2 * LARGEST];
	struct sockaddr_in own = address("PROXY_HOST", environment("PROXY_PORT"));
	struct sockaddr_in carrier = address("CARRIER_HOST", environment("CARRIER_PORT"));
	struct sockaddr_in dialer = {0}, from;
	load(environment("BENCH_DATA"));
	int s = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
	if (s < 0 || bind(s, (struct sockaddr *)&own, sizeof own) != 0)
		fail("bind");
	setsockopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	for (;;) {
		socklen_t size = sizeof from;
		ssize_t n = recvfrom(s, in, LARGEST, 0, (struct sockaddr *)&from, &size);
		if (n <= 0)
			continue;
		in[n] = 0;
		if (from.sin_port == carrier.sin_port && from.sin_addr.s_addr == carrier.sin_addr.s_addr) {
			if (dialer.sin_port != 0)
				sendto(s, in, (size_t)n, 0, (struct sockaddr *)&dialer, sizeof dialer);
			continue;
		}
		dialer = from;
		if (strncmp(in, "INVITE sip:+", 12) == 0) {
			uint64_t number = strtoull(in + 12, NULL, 10);
			if (number == 0 || table[place(number)] != number) {
				size_t length = refuse(in, (size_t)n, out);
				sendto(s, out, length, 0, (struct sockaddr *)&dialer, sizeof dialer);
				continue;
			}
		} else if (strncmp(in, "ACK ", 4) == 0 && memmem(in, (size_t)n, ";tag=refused", 12) != NULL) {
			continue; /* the ACK to our own refusal ends here */
		}
		sendto(s, in, (size_t)n, 0, (struct sockaddr *)&carrier, sizeof carrier);
	}
}
