package configs

import "time"

// Config is the whole file. A key that is not here is an error.
type Config struct {
	Node        string         `key:"node" restart:"" doc:"Name of this node, for records and the Warning header field."`
	Listen      Listen         `key:"listen" restart:"" doc:"Where SIP is received."`
	Peers       []Peer         `key:"peers" doc:"The dialers."`
	Carriers    []Carrier      `key:"carriers" doc:"Where allowed calls go."`
	Inbound     []Inbound      `key:"inbound" doc:"Calls from a carrier: which dialer answers which number."`
	Advertisers []Advertiser   `key:"advertisers" doc:"Legal entities on whose behalf is called."`
	Campaigns   []Campaign     `key:"campaigns" doc:"Series of calls for one purpose of one advertiser."`
	Callers     []Caller       `key:"callers" doc:"Inventory of numbers that may be shown."`
	Rules       map[string]any `key:"rules" special:"rules" doc:"Rule id or prefix: off, shadow or enforce, or a mapping; below."`
	Registers   []Register     `key:"registers" doc:"Do-not-call registers that must be consulted."`
	Emergency   Emergency      `key:"emergency" doc:"Calls that nothing may hinder."`
	Permit      []string       `key:"permit" oneof:"facts-unavailable,ledger-unavailable" doc:"Operation reasons for which calls are let through all the same; the record says so."`
	Cases       []string       `key:"cases" doc:"Files of acceptance cases, relative to this file, that must come out as expected before this configuration is put in force."`
	Store       Store          `key:"store" restart:"" doc:"Where facts and decisions are kept."`
	Ledger      Ledger         `key:"ledger" restart:"" doc:"How decisions are recorded."`
	Redial      Redial         `key:"redial" restart:"" doc:"What is noticed of calls that are made again after a refusal."`
	SIP         SIP            `key:"sip" doc:"Limits and timers of the proxy."`
	API         API            `key:"api" restart:"" doc:"The console, the HTTP API and the endpoints for machines."`
	Log         Log            `key:"log" doc:"The log."`
	Cluster     *Unavailable   `key:"cluster" doc:"Several nodes; not in this version."`
	HEP         *Unavailable   `key:"hep" doc:"Copies of SIP messages to a HEP collector; not in this version."`

	file      string
	positions map[string]position
	warnings  []string
	rules     []ruleSetting
	id        string
}

// Listen is where SIP is received.
type Listen struct {
	UDP []Listener    `key:"udp" doc:"UDP sockets."`
	TCP []Listener    `key:"tcp" doc:"TCP sockets."`
	TLS []TLSListener `key:"tls" doc:"TLS sockets."`
	WS  []WSListener  `key:"ws" doc:"WebSocket without TLS."`
	WSS []WSSListener `key:"wss" doc:"WebSocket over TLS."`
}

// Listener is one socket.
type Listener struct {
	Address    string `key:"address" kind:"addrport" required:"" doc:"IP address and port of this host."`
	Advertised string `key:"advertised" kind:"addrport" doc:"Address by which others reach the socket; default: address."`
}

// TLSListener is one socket with a certificate.
type TLSListener struct {
	Address       string `key:"address" kind:"addrport" required:"" doc:"IP address and port of this host."`
	Advertised    string `key:"advertised" kind:"addrport" doc:"Address by which others reach the socket; default: address."`
	Certificate   string `key:"certificate" required:"" doc:"PEM file of the certificate with its chain; read again when it changes."`
	Key           string `key:"key" required:"" doc:"PEM file of its key."`
	ClientCA      string `key:"client_ca" doc:"PEM file of the authorities whose client certificates count, for tls_names of peers."`
	RequireClient bool   `key:"require_client" doc:"Who shows no such certificate is not let in."`
}

// WSListener is one socket for WebSocket.
type WSListener struct {
	Address    string   `key:"address" kind:"addrport" required:"" doc:"IP address and port of this host."`
	Advertised string   `key:"advertised" kind:"addrport" doc:"Address by which others reach the socket; default: address."`
	Origins    []string `key:"origins" doc:"Web pages, such as https://phone.example, from which a browser may connect; \"*\" means any. Programs that are no browser need none."`
}

// WSSListener is one socket for WebSocket over TLS.
type WSSListener struct {
	Address       string   `key:"address" kind:"addrport" required:"" doc:"IP address and port of this host."`
	Advertised    string   `key:"advertised" kind:"addrport" doc:"Address by which others reach the socket; default: address."`
	Origins       []string `key:"origins" doc:"As for ws."`
	Certificate   string   `key:"certificate" required:"" doc:"As for tls."`
	Key           string   `key:"key" required:"" doc:"As for tls."`
	ClientCA      string   `key:"client_ca" doc:"As for tls."`
	RequireClient bool     `key:"require_client" doc:"As for tls."`
}

// Peer is a dialer.
type Peer struct {
	ID            string   `key:"id" required:"" doc:"Name in records, metrics and logs."`
	Sources       []string `key:"sources" kind:"prefix" doc:"Addresses the dialer sends from: CIDR or single addresses."`
	Listeners     []string `key:"listeners" kind:"addrport" doc:"Addresses under listen by which the dialer is known; default: all. Two peers may share sources when they come by different ones."`
	TLSNames      []string `key:"tls_names" doc:"Names in the certificate it shows on a listener with client_ca, by which it is known from any address."`
	Digest        Digest   `key:"digest" doc:"How it proves, beside coming from there, that it is who it is (RFC 3261 section 22, RFC 8760). Off until user is set."`
	Campaigns     []string `key:"campaigns" doc:"Campaigns it may call for; \"*\" means every one."`
	Names         []string `key:"names" doc:"Campaigns it may name by the header field X-Campaign; \"*\" means every one that needs a ground for calling."`
	Dialect       string   `key:"dialect" oneof:"safe,strict,vicidial-pjsip,vicidial-chansip,freeswitch,asterisk,redirect-302,redirect-teleblock,redirect-clearip" default:"safe" doc:"How refusals are said, and whether allowed calls go on or back to the switch: docs/dialects.md."`
	Agreed        Agreed   `key:"agreed" doc:"Codes agreed with a switch that only asks (redirect-teleblock, redirect-clearip)."`
	Unwanted      string   `key:"unwanted" oneof:"note,objection" default:"note" doc:"What a 607 of the called person is: note lists it (dialgate audit blocked), objection records an objection against the campaign's advertiser."`
	NoRecordRoute bool     `key:"no_record_route" doc:"We leave the path when the call is set up: what follows goes between dialer and carrier directly, who must reach each other."`
	DisplayFrom   string   `key:"display_from" oneof:"from,pai,rpid" default:"from" doc:"The header whose number the called person sees on this trunk."`
	TrustIdentity bool     `key:"trust_identity" doc:"P-Asserted-Identity and its like count, and are passed on."`
	NoScreening   bool     `key:"no_screening" doc:"The carrier does not compare the shown number with the trunk's (CLIP no screening)."`
	MayForward    bool     `key:"may_forward" doc:"Calls with Diversion or History-Info are part of this trunk's use."`
	MayRoute      bool     `key:"may_route" doc:"The peer may send Route header fields and routing parameters of its own."`
	SDP           string   `key:"sdp" oneof:"lenient,strict" default:"lenient" doc:"What becomes of a call whose offer is no SDP: strict refuses it, lenient notes it in the record."`
	Country       string   `key:"country" default:"NL" doc:"Country by whose plan national numbers are read (ISO 3166-1)."`
	StripPrefixes []string `key:"strip_prefixes" doc:"Dial-plan prefixes removed before a called number is judged."`
	Limits        Limits   `key:"limits" doc:"Bounds on this peer's calls."`
}

// Digest is how a peer proves who it is: with a password, or with hashes of it.
type Digest struct {
	User       string   `key:"user" doc:"Its user name. Set: every request but ACK, CANCEL and OPTIONS to dialgate itself must be proved, emergency calls too."`
	Password   string   `key:"password" secret:"" doc:"Its password; write ${file:PATH}, so that it does not stand here."`
	SHA256     string   `key:"sha256" secret:"" doc:"In place of password: SHA-256 of user:realm:password in hex, with sip.realm."`
	MD5        string   `key:"md5" secret:"" doc:"In place of password, or beside sha256 for dialers that know no other: MD5 of the same."`
	Algorithms []string `key:"algorithms" oneof:"sha-256,md5" default:"sha-256,md5" doc:"Which are offered, with password. MD5 is for dialers that know no other; some of them give up when they see another, and want it alone."`
}

// Limits bound the calls of a peer, or those to a carrier.
type Limits struct {
	CallsPerSecond int `key:"calls_per_second" min:"0" doc:"New calls a second, a burst of as many allowed; 0: no bound."`
	CallsInSetup   int `key:"calls_in_setup" min:"0" doc:"Calls without a final response; 0: no bound."`
}

// Agreed are codes that stand for a verdict.
type Agreed struct {
	Go   int `key:"go" min:"0" max:"699" doc:"Make the call; 0: 499 for redirect-teleblock, 503 for redirect-clearip."`
	Stop int `key:"stop" min:"0" max:"699" doc:"Do not; 0: 403 for redirect-teleblock, 603 for redirect-clearip."`
}

// Carrier is where allowed calls go.
type Carrier struct {
	ID       string   `key:"id" required:"" doc:"Name in metrics and logs."`
	Targets  []string `key:"targets" kind:"target" required:"" doc:"IP addresses with ports, tried in this order, and then names: of sip.example the NAPTR records, else the SRV records (such as _sip._udp), else the addresses at the usual port; of sip.example:5060 the addresses (RFC 3263). A name that can not be looked up keeps its last addresses."`
	Sources  []string `key:"sources" kind:"prefix" doc:"Further addresses the carrier sends from."`
	Priority int      `key:"priority" doc:"The lowest goes first."`
	Weight   int      `key:"weight" default:"1" min:"1" doc:"Share among carriers of one priority."`

	AnswerWithin time.Duration `key:"answer_within" default:"2s" min:"100ms" doc:"How long a target may be silent before the next one is tried. The last one is given 32s (timer B)."`
	FailoverOn   []int         `key:"failover_on" min:"300" max:"599" doc:"Status codes, beside 503, on which the next target is tried."`
	Limits       Limits        `key:"limits" doc:"Bounds on the calls sent to it; over them another carrier is taken."`
	Probing      Probing       `key:"probing" doc:"OPTIONS to its targets; one that is down takes no calls while another does. Off until every is set: some carriers take unannounced OPTIONS for a scan."`

	Transport    string    `key:"transport" oneof:"udp,tcp,tls,ws,wss,dns" default:"udp" doc:"How it is reached; there must be a listener of that kind. dns: as the NAPTR records of its name say, by any kind that there is a listener of."`
	LargeOverTCP bool      `key:"large_over_tcp" doc:"Requests of more than 1300 octets go to a carrier on UDP over TCP, by the same targets."`
	TLS          ServerTLS `key:"tls" doc:"How a carrier on tls, wss or dns is met."`
}

// Probing is how a carrier's targets are watched.
type Probing struct {
	Every   time.Duration `key:"every" doc:"From one OPTIONS to the next; 0: none are sent."`
	Timeout time.Duration `key:"timeout" default:"2s" doc:"How long an answer may take; any but 503 will do."`
	Down    int           `key:"down" default:"3" min:"1" doc:"Failures in a row, of probes or calls, that take a target down."`
	Up      int           `key:"up" default:"2" min:"1" doc:"Answers in a row that bring it up again."`
}

// ServerTLS is how we meet who we connect to over TLS.
type ServerTLS struct {
	Verify      string `key:"verify" oneof:"full,pinned,none" default:"full" doc:"full: an authority vouches for its certificate, which bears its name. pinned: one of the authorities in ca vouches for it, whatever its name. none: it is not checked."`
	CA          string `key:"ca" doc:"PEM file of the authorities that count; default: those of the system."`
	Name        string `key:"name" doc:"Its name in the certificate; default: the name under targets, else its address."`
	Certificate string `key:"certificate" doc:"PEM file of the certificate shown to it when it asks."`
	Key         string `key:"key" doc:"PEM file of its key."`
}

// Inbound tells where calls from a carrier go.
type Inbound struct {
	Number string `key:"number" kind:"number" required:"" doc:"The number called."`
	Target string `key:"target" kind:"addrport" required:"" doc:"Address of the dialer that answers it."`

	Transport string    `key:"transport" oneof:"udp,tcp,tls,ws,wss" default:"udp" doc:"How it is reached; there must be a listener of that kind. Over ws and wss: by the connection that its host has opened last, and where there is none, by a new one to target."`
	TLS       ServerTLS `key:"tls" doc:"How a dialer on tls or wss is met when we connect to it."`
}

// Advertiser is a legal entity.
type Advertiser struct {
	ID                string `key:"id" required:"" doc:"Name that facts use."`
	Name              string `key:"name" doc:"Its legal name."`
	RegisterNumber    string `key:"register_number" doc:"Its number in the trade register."`
	Sector            string `key:"sector" oneof:"general,charity,publisher,lottery" default:"general" doc:"Decides which relationship the law accepts."`
	IssuesPerYear     int    `key:"issues_per_year" min:"0" doc:"Publishers: how often the publication appears."`
	LicenceArticle    string `key:"licence_article" oneof:"3,9,14b,15,16,27b" doc:"Lotteries: article of the Wet op de kansspelen."`
	RelationshipYears int    `key:"relationship_years" min:"0" max:"30" doc:"Replaces the three years after the end of a relationship; needs the advice of the Commissie Balanstoets Telemarketing."`
}

// Campaign is a series of calls.
type Campaign struct {
	ID               string   `key:"id" required:"" doc:"Name that X-Campaign, records and metrics use."`
	Advertiser       string   `key:"advertiser" required:"" doc:"Id of an advertiser."`
	Purpose          string   `key:"purpose" required:"" oneof:"commercial,ideal,charitable,service,research,requested,other" doc:"What is called for."`
	Products         []string `key:"products" doc:"Codes of what is offered; a commercial campaign needs at least one."`
	Mode             string   `key:"mode" oneof:"live,robocall" default:"live" doc:"A person speaks, or a machine does."`
	Callers          []string `key:"callers" kind:"number" doc:"Numbers that may be shown for it."`
	ObjectionOffered bool     `key:"objection_offered" doc:"The script offers the right of objection in every call."`
	NoOffer          bool     `key:"no_offer" doc:"The script holds no offer; service, research and other calls need it."`
}

// Caller is what is known of a number that may be shown.
type Caller struct {
	Number           string `key:"number" kind:"number" required:"" doc:"The number."`
	Holder           string `key:"holder" doc:"Who has the right to use it."`
	ValidFrom        string `key:"valid_from" kind:"date" doc:"First day of that right."`
	ValidTo          string `key:"valid_to" kind:"date" doc:"Last day of that right."`
	CallbackTestedAt string `key:"callback_tested_at" kind:"date" doc:"Day on which a call back to it was last tested."`
	PublishedAt      string `key:"published_at" doc:"Where the advertiser publishes it."`
}

// Register is a do-not-call register.
type Register struct {
	ID     string `key:"id" required:"" doc:"Name that facts of kind listed use."`
	MaxAge int    `key:"max_age" min:"0" doc:"Greatest age of its copy in days; an older one denies. 0: any age."`
}

// Emergency is about calls that nothing may hinder.
type Emergency struct {
	Numbers        []string `key:"numbers" default:"112" doc:"Numbers as dialled."`
	CallsPerSecond int      `key:"calls_per_second" default:"10" min:"1" doc:"Their own rate limit."`
}

// Store is where everything is kept.
type Store struct {
	Path       string `key:"path" default:"dialgate-data" doc:"Directory of the ledger, the facts and the control socket."`
	ImportRate int    `key:"import_rate" default:"20000" min:"100" doc:"Facts a second that imports and undos put into a running node at most, so that calls do not feel them."`
	DiskFloor  Size   `key:"disk_floor" default:"256MiB" doc:"Free space below which calls can't be recorded (ledger-unavailable) and only objections and withdrawals are taken in; new facts stop below twice, imports below three times as much."`
	Memory     Size   `key:"memory" default:"512MiB" doc:"Memory in which a node may keep the facts of all numbers, so that a call looks up none on disk: a million numbers take about 55MiB. 0, or when they need more: they are read from disk."`
	ErasureKey string `key:"erasure_key" doc:"File of the key by which erased numbers are recognised; the first erasure makes it, and from then on the store does not open without it. Keep a copy apart from the store's backups. Default: the store's path with -erasure.key behind it."`
}

// Ledger is how decisions are recorded.
type Ledger struct {
	Mode        string        `key:"mode" oneof:"durable,memory" default:"durable" doc:"durable: a call goes on when its record is on disk. memory: it does not wait."`
	SegmentSize Size          `key:"segment_size" default:"64MiB" doc:"Size of the ledger's files."`
	KeepDays    int           `key:"keep_days" min:"0" doc:"Files of which all records are older than so many days are removed; what is known of numbers is carried over, records of calls go. 0: everything is kept."`
	Linger      time.Duration `key:"linger" default:"2ms" min:"100us" doc:"How long a record may wait for others under load."`

	AnswerWithin time.Duration `key:"answer_within" default:"1s" doc:"How long a call may wait for its record to be on disk. Then it is answered all the same: refused ledger-unavailable, or let through when permit names that; the record of its outcome tells."`
}

// Redial is about calls that are made again after a refusal.
type Redial struct {
	Window   time.Duration `key:"window" default:"10m" doc:"How long after a refusal another call to the number counts as one."`
	Collapse bool          `key:"collapse" doc:"A refusal for the same reason, of the same caller number to the same number, within the window has no record of its own: it is counted with the first. docs/operations.md says what a crash can lose."`
}

// SIP holds limits and timers.
type SIP struct {
	Realm                string        `key:"realm" default:"dialgate" doc:"What peers with digest prove themselves for; the nodes of a pair share it. The hashes of passwords hold for this realm alone."`
	AnswerStrangers      bool          `key:"answer_strangers" doc:"Requests from unknown sources get 403 instead of silence."`
	OutOfDialog          []string      `key:"out_of_dialog" oneof:"INFO,MESSAGE,PUBLISH,REGISTER" doc:"Methods that go from a dialer to its carrier outside a call, unjudged; others but INVITE and OPTIONS get 405."`
	MaxTransactions      int           `key:"max_transactions" restart:"" default:"100000" min:"100" doc:"Bound on transactions in memory; requests of calls that are up, and emergency calls, find a tenth more room."`
	TimerC               time.Duration `key:"timer_c" restart:"" default:"185s" doc:"How long a call may ring without news; more than 3 minutes (RFC 3261 section 16.6)."`
	FailoverWithin       time.Duration `key:"failover_within" default:"20s" min:"1ms" doc:"How long after its INVITE a call may still go on to another target."`
	DNS                  DNS           `key:"dns" restart:"" doc:"How carriers given by name are looked for."`
	Drain                time.Duration `key:"drain" default:"30s" doc:"How long a stop waits for call set-ups to end; 0: not at all."`
	Connections          int           `key:"connections" restart:"" default:"10000" min:"4" doc:"Connections of one listener in all; unknown sources get at most a quarter of them."`
	ConnectionsPerSource int           `key:"connections_per_source" restart:"" default:"1000" min:"1" doc:"Connections of one listener from one address (IPv6: one /64)."`
	HandshakeTimeout     time.Duration `key:"handshake_timeout" restart:"" default:"5s" min:"100ms" doc:"How long TLS and the WebSocket upgrade may take."`
	MessageTimeout       time.Duration `key:"message_timeout" restart:"" default:"10s" min:"100ms" doc:"How long one message may take to arrive on a connection."`
	IdleTimeout          time.Duration `key:"idle_timeout" restart:"" default:"10m" min:"1s" doc:"A connection on which nothing came for so long, not even a keep-alive, is closed."`
	KeepInvite           Size          `key:"keep_invite" doc:"How many octets of each INVITE the record of its call keeps, without credentials, at most 16KiB; 0: none. It is erased with the number, and shown in the console only to who may see numbers in full, each look recorded. It can hold more about the called person than the rest of the record, and makes records several times as large."`
	TokenKey             string        `key:"token_key" restart:"" secret:"" doc:"Key of the tokens in Record-Route, shared by the nodes of a pair; at least 16 characters. Default: a key made at first start and kept in the store's directory."`
}

// DNS is how carriers given by name are looked for.
type DNS struct {
	Servers []string      `key:"servers" kind:"addrport" doc:"Servers that are asked in turn; default: those of /etc/resolv.conf, read again when it changes."`
	Timeout time.Duration `key:"timeout" default:"1s" doc:"How long one server has for an answer."`
	Tries   int           `key:"tries" default:"2" min:"1" max:"5" doc:"How often each server is asked."`
	Least   time.Duration `key:"least" default:"5s" doc:"A shorter time to live is taken for this one."`
	Most    time.Duration `key:"most" default:"1h" doc:"A longer time to live is taken for this one."`
}

// API is about HTTP.
type API struct {
	Address     string `key:"address" kind:"addrport" default:"127.0.0.1:8060" doc:"Address and port of the console, the HTTP API, /healthz, /readyz and /metrics. Elsewhere than on loopback it needs a certificate, and somebody who has access before it starts (dialgate token, dialgate person); /metrics then needs a token too."`
	Certificate string `key:"certificate" doc:"PEM file of the certificate with its chain; with it everything goes over TLS. Read again when it changes."`
	Key         string `key:"key" doc:"PEM file of its key."`
	ClientCA    string `key:"client_ca" doc:"PEM file of the authorities whose client certificates count; who shows none is not let in, also to /healthz. What somebody may do is told by their token or password as ever: the certificate is a second lock. Read again when it changes."`

	WebhooksTo []string `key:"webhooks_to" kind:"prefix" doc:"Private networks (CIDR or single addresses) that webhooks may reach, also without TLS; addresses of the open internet need not be named, and need TLS."`
}

// Log is about the log.
type Log struct {
	Level  string `key:"level" oneof:"debug,info,warn,error" default:"info" doc:"From which level on."`
	Format string `key:"format" restart:"" oneof:"text,json" default:"text" doc:"How lines are written."`
	File   string `key:"file" restart:"" doc:"File to append to; default: standard error."`
}

// Size is a number of octets, written as 64MiB, 512KiB or plain.
type Size int64

// Unavailable marks a section of the contract that this version does not have:
// writing it is an error, never silently ignored.
type Unavailable struct{}
