#!/usr/bin/env python3
"""Latency prober: own dialer and own carrier over UDP, microsecond clock.

Sends INVITEs at a fixed mean rate (exponential gaps, fixed seed) and takes, at
the dialer, INVITE -> first 100, INVITE -> 180 and INVITE -> final response.
The carrier sends 180 at once and 200 ten milliseconds later; 100 only when
INVITEs reach it straight from the dialer (no proxy) - so without a proxy the
same figures are the prober's own floor.  Prints one JSON line.
"""
import argparse, heapq, json, multiprocessing, os, random, selectors, socket, time

now = time.perf_counter


def heads(msg):
    """start line and header lines of a SIP message, names lower-cased short"""
    lines = msg.split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    return lines[0], [(h.split(b":", 1)[0].strip().lower(), h) for h in lines[1:] if b":" in h]


def pick(hs, *names):
    return [h for n, h in hs if n in names]


SDP = b"\r\n".join([b"v=0", b"o=x 1 1 IN IP4 127.0.0.1", b"s=-", b"c=IN IP4 127.0.0.1", b"t=0 0", b"m=audio 6000 RTP/AVP 8 0 101",
                    b"a=rtpmap:8 PCMA/8000", b"a=rtpmap:0 PCMU/8000", b"a=rtpmap:101 telephone-event/8000",
                    b"a=fmtp:101 0-15", b"a=ptime:20", b"a=sendrecv", b""])


def carrier(host, port, ready):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    s.bind((host, port))
    sel = selectors.DefaultSelector()
    sel.register(s, selectors.EVENT_READ)
    s.setblocking(False)
    due, seen = [], set()
    contact = b"Contact: <sip:carrier@%s:%d>" % (host.encode(), port)
    ready.set()
    while True:
        sel.select(max(0, due[0][0] - now()) if due else None)
        while due and due[0][0] <= now():
            _, _, m, to = heapq.heappop(due)
            s.sendto(m, to)
        while True:
            try:
                msg, src = s.recvfrom(65535)
            except BlockingIOError:
                break
            start, hs = heads(msg)
            method = start.split(b" ", 1)[0]
            if method == b"ACK" or start.startswith(b"SIP/"):
                continue
            vias, rrs = pick(hs, b"via", b"v"), pick(hs, b"record-route")
            to = pick(hs, b"to", b"t")[0]
            tagged = to if b"tag=" in to else to + b";tag=c1"
            common = pick(hs, b"from", b"f") + [tagged] + pick(hs, b"call-id", b"i") + pick(hs, b"cseq")

            def reply(line, extra=(), body=b""):
                return b"\r\n".join([b"SIP/2.0 " + line] + vias + list(rrs) + common + list(extra) + [b"Content-Length: %d" % len(body), b"", b""]) + body
            if method == b"INVITE":
                key = (vias[0], tuple(common))
                if key in seen:
                    continue
                seen.add(key)
                if len(vias) == 1:
                    s.sendto(reply(b"100 Trying"), src)
                s.sendto(reply(b"180 Ringing", [contact]), src)
                heapq.heappush(due, (now() + 0.010, len(seen), reply(b"200 OK", [contact, b"Content-Type: application/sdp"], SDP), src))
            else:
                rrs = []
                s.sendto(reply(b"200 OK"), src)


def quant(v, q):
    return round(v[min(len(v) - 1, int(q * len(v)))] * 1e6, 1) if v else None


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--host", default="127.0.0.1")
    ap.add_argument("--target-port", type=int, required=True)
    ap.add_argument("--carrier-port", type=int, default=5270)
    ap.add_argument("--dialer-port", type=int, default=5261)
    ap.add_argument("--numbers", required=True)
    ap.add_argument("--rate", type=float, default=200)
    ap.add_argument("--calls", type=int, default=3000)
    a = ap.parse_args()
    ready = multiprocessing.Event()
    p = multiprocessing.Process(target=carrier, args=(a.host, a.carrier_port, ready), daemon=True)
    p.start()
    ready.wait(5)
    with open(a.numbers) as f:
        f.readline()
        nums = [f.readline().split(";")[0].encode() for _ in range(a.calls + 200)]
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    s.bind((a.host, a.dialer_port))
    s.setblocking(False)
    dst = (a.host, a.target_port)
    sel = selectors.DefaultSelector()
    sel.register(s, selectors.EVENT_READ)
    h, lp = a.host.encode(), a.dialer_port
    run = b"%d" % os.getpid()
    rnd = random.Random(7)
    warm = 200
    total = a.calls + warm
    sent, calls, at = {}, {}, now() + 0.05
    t100, t180, tfin, done, codes = [], [], [], 0, {}
    n = 0
    stop_at = None
    while done < total and (stop_at is None or now() < stop_at):
        wait = at - now() if n < total else 0.05
        ev = sel.select(max(0, wait)) if wait > 0 else sel.select(0)
        if n < total and now() >= at:
            num = nums[n]
            cid = b"%d.%s@lat" % (n, run)
            base = b"sip:%s@%s:%d" % (num, h, a.target_port)
            frm = b'From: "Campaign 7" <sip:+31205550100@%s:%d>;tag=d%d' % (h, lp, n)
            via = b"Via: SIP/2.0/UDP %s:%d;branch=z9hG4bK%s.%d." % (h, lp, run, n)
            msg = b"\r\n".join([b"INVITE %s;user=phone SIP/2.0" % base, via + b"i", b"Max-Forwards: 70", frm, b"To: <%s>" % base,
                                b"Call-ID: " + cid, b"CSeq: 1 INVITE", b"Contact: <sip:dialer@%s:%d>" % (h, lp),
                                b"P-Asserted-Identity: <sip:+31205550100@%s>" % h, b"User-Agent: bench-dialer",
                                b"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE", b"Supported: timer, 100rel",
                                b"Session-Expires: 1800", b"Content-Type: application/sdp", b"Content-Length: %d" % len(SDP), b"", b""]) + SDP
            calls[cid] = [n, base, frm, via, {}]
            t = now()
            sent[cid] = t
            s.sendto(msg, dst)
            n += 1
            at = max(at + rnd.expovariate(a.rate), now() - 0.02)
            if n == total:
                stop_at = now() + 5
        if not ev:
            continue
        while True:
            try:
                msg = s.recv(65535)
            except BlockingIOError:
                break
            t = now()
            start, hs = heads(msg)
            if not start.startswith(b"SIP/"):
                continue
            code = start.split(b" ")[1]
            cid = pick(hs, b"call-id", b"i")[0].split(b":", 1)[1].strip()
            if cid not in calls:
                continue
            i, base, frm, via, got = calls[cid]
            cseq = pick(hs, b"cseq")[0]
            if b"BYE" in cseq:
                done += 1
                del calls[cid]
                continue
            dt = t - sent[cid]
            if code not in got:
                got[code] = dt
                if i >= warm:
                    (t100 if code == b"100" else t180 if code == b"180" else tfin if code >= b"200" else []).append(dt)
            if code >= b"200":
                to = pick(hs, b"to", b"t")[0]
                if got.get("acked"):
                    continue
                got["acked"] = True
                codes[code.decode()] = codes.get(code.decode(), 0) + 1
                if code == b"200":
                    routes = [b"Route:" + r.split(b":", 1)[1] for r in reversed(pick(hs, b"record-route"))]
                    ct = pick(hs, b"contact", b"m")[0]
                    uri = ct[ct.index(b"<") + 1:ct.index(b">")]
                    for meth, br, cs in ((b"ACK", b"a", 1), (b"BYE", b"b", 2)):
                        s.sendto(b"\r\n".join([b"%s %s SIP/2.0" % (meth, uri), via + br, b"Max-Forwards: 70"] + routes + [frm, to, b"Call-ID: " + cid,
                                 b"CSeq: %d %s" % (cs, meth), b"Content-Length: 0", b"", b""]), dst)
                else:
                    s.sendto(b"\r\n".join([b"ACK %s;user=phone SIP/2.0" % base, via + b"i", b"Max-Forwards: 70", frm, to, b"Call-ID: " + cid,
                                           b"CSeq: 1 ACK", b"Content-Length: 0", b"", b""]), dst)
                    done += 1
                    del calls[cid]
    p.terminate()
    out = {"rate": a.rate, "calls": a.calls, "finished": done - warm, "codes": codes}
    for name, v in (("invite_100", t100), ("invite_180", t180), ("invite_final", tfin)):
        v.sort()
        out[name] = {"n": len(v), "p50_us": quant(v, .5), "p90_us": quant(v, .9), "p99_us": quant(v, .99), "max_us": quant(v, 1)}
    print(json.dumps(out))


if __name__ == "__main__":
    main()
