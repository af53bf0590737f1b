//! The table of framings: what is sent, by which rule it is judged, what becomes of it. `docs/design/0015-framing.md`
//! lists the same rows. Names without `OURS-` are those of the Http11Probe catalogue (https://www.http-probe.com).

/// What becomes of a request that another one follows on the same connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 400 `bad_request`; the connection closes; no container hears of it.
    Refused,
    /// The body is at fault, when the head has been passed on: no container gets it whole, the connection closes, and
    /// if there is an answer at all it is a 400.
    Cut,
    /// The container gets exactly this (method, target, body), it is answered, and the connection closes.
    Once(&'static str),
    /// The container gets exactly this (method, target, body), and then the request that follows.
    Passed(&'static str),
}

/// Where in a request the bytes of a case stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// They are all of it.
    Whole,
    /// The request line, before `Host: a`.
    Line,
    /// After the request line `POST /it HTTP/1.1` and `Host: a`.
    Fields,
    /// The body of such a request with `Transfer-Encoding: chunked`.
    Chunks,
}

/// One row.
pub(crate) struct Case {
    pub(crate) id: &'static str,
    /// The section that it is judged by.
    pub(crate) rule: &'static str,
    pub(crate) place: Place,
    pub(crate) bytes: &'static [u8],
    pub(crate) verdict: Verdict,
}

impl Case {
    /// The request that is sent.
    pub(crate) fn request(&self) -> Vec<u8> {
        let (before, after): (&[u8], &[u8]) = match self.place {
            Place::Whole => (b"", b""),
            Place::Line => (b"", b"\r\nHost: a\r\n\r\n"),
            Place::Fields => (b"POST /it HTTP/1.1\r\nHost: a\r\n", b""),
            Place::Chunks => (b"POST /it HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
        };
        [before, self.bytes, after].concat()
    }
}

/// Every row.
pub(crate) fn all() -> Vec<Case> {
    let tables =
        [(Place::Whole, WHOLE), (Place::Line, LINES), (Place::Fields, FIELDS), (Place::Chunks, CHUNKS)];
    let rows = tables.iter().flat_map(|(place, rows)| rows.iter().map(move |row| (*place, row)));
    rows.map(|(place, (id, rule, bytes, verdict))| Case { id, rule, place, bytes, verdict: *verdict })
        .collect()
}

type Row = (&'static str, &'static str, &'static [u8], Verdict);

use Verdict::{Cut, Once, Passed, Refused};

const WHOLE: &[Row] = &[
    ("RFC9112-7.1-MISSING-HOST", "9112 §3.2", b"GET /it HTTP/1.1\r\n\r\n", Refused),
    ("COMP-HOST-EMPTY-VALUE", "9110 §4.2.1", b"GET /it HTTP/1.1\r\nHost:\r\n\r\n", Refused),
    ("COMP-DUPLICATE-HOST-SAME", "9112 §3.2", b"GET /it HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refused),
    ("RFC9110-5.4-DUPLICATE-HOST", "9112 §3.2", b"GET /it HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refused),
    ("COMP-HOST-WITH-USERINFO", "9112 §3.2", b"GET /it HTTP/1.1\r\nHost: me@a\r\n\r\n", Refused),
    ("COMP-HOST-WITH-PATH", "9112 §3.2", b"GET /it HTTP/1.1\r\nHost: a/b\r\n\r\n", Refused),
    ("SMUG-MULTIPLE-HOST-COMMA", "9110 §7.2", b"GET /it HTTP/1.1\r\nHost: a,b\r\n\r\n", Refused),
    ("OURS-HOST-SPACE", "9112 §3.2", b"GET /it HTTP/1.1\r\nHost: a b\r\n\r\n", Refused),
    ("OURS-HOST-PORT", "9110 §7.2", b"GET /it HTTP/1.1\r\nHost: a:b\r\n\r\n", Refused),
    ("OURS-HOST-TWO-PORTS", "9110 §7.2", b"GET /it HTTP/1.1\r\nHost: a:1:2\r\n\r\n", Refused),
    ("OURS-HOST-OPEN-BRACKET", "9110 §7.2", b"GET /it HTTP/1.1\r\nHost: [::1\r\n\r\n", Refused),
    ("OURS-HOST-ADDRESS", "9110 §7.2", b"GET /it HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", Passed("GET /it ")),
    ("OURS-HOST-LATIN1", "9110 §7.2", b"GET /it HTTP/1.1\r\nHost: \xe9\r\n\r\n", Refused),
    ("COMP-HTTP10-NO-HOST", "9112 §3.2", b"GET /it HTTP/1.0\r\n\r\n", Once("GET /it ")),
    ("COMP-HTTP10-DEFAULT-CLOSE", "9112 §9.3", b"GET /it HTTP/1.0\r\nHost: a\r\n\r\n", Once("GET /it ")),
    ("SMUG-TE-HTTP10", "9112 §6.1", b"POST /it HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("OURS-TE-CL-HTTP10", "9112 §6.1", b"POST /it HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    // An HTTP/1.0 body without a length is no body: never "until the connection closes".
    ("OURS-CLOSE-DELIMITED-HTTP10", "9112 §6.3", b"POST /it HTTP/1.0\r\n\r\nhello", Once("POST /it ")),
    ("COMP-UPGRADE-HTTP10", "9110 §7.8", b"GET /it HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", Once("GET /it ")),
    ("COMP-CONNECTION-CLOSE", "9112 §9.3", b"GET /it HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", Once("GET /it ")),
    ("COMP-WHITESPACE-BEFORE-HEADERS", "9112 §2.2", b"GET /it HTTP/1.1\r\n Host: a\r\n\r\n", Refused),
    ("COMP-LEADING-CRLF", "9112 §2.2", b"\r\n\r\nGET /it HTTP/1.1\r\nHost: a\r\n\r\n", Passed("GET /it ")),
    ("OURS-LEADING-LF", "9112 §2.2", b"\nGET /it HTTP/1.1\r\nHost: a\r\n\r\n", Refused),
    ("RFC9112-2.2-BARE-LF-REQUEST-LINE", "9112 §2.2", b"GET /it HTTP/1.1\nHost: a\r\n\r\n", Refused),
    ("RFC9112-3-CR-ONLY-LINE-ENDING", "9112 §2.2", b"GET /it HTTP/1.1\rHost: a\r\r\r\n", Refused),
    ("OURS-HEAD-ENDED-BY-LF", "9112 §2.2", b"GET /it HTTP/1.1\r\nHost: a\r\n\n", Refused),
    ("SMUG-ABSOLUTE-URI-HOST-MISMATCH", "9112 §3.2.2", b"GET http://b/it?q HTTP/1.1\r\nHost: a\r\n\r\n", Passed("GET /it?q ")),
    ("OURS-ABSOLUTE-FORM-WITHOUT-HOST", "9112 §3.2", b"GET http://b/it HTTP/1.1\r\n\r\n", Refused),
    ("OURS-ABSOLUTE-FORM-USERINFO", "9110 §4.2.4", b"GET http://me@b/it HTTP/1.1\r\nHost: b\r\n\r\n", Refused),
    ("MAL-BINARY-GARBAGE", "9112 §3", b"\x80\x9b\x01\xff\r\n\r\n", Refused),
    ("MAL-WHITESPACE-ONLY-LINE", "9112 §3", b"   \r\n\r\n", Refused),
    ("SMUG-HEAD-CL-BODY", "9110 §9.3.2", b"HEAD /it HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", Passed("HEAD /it hello")),
    ("SMUG-OPTIONS-CL-BODY-DESYNC", "9110 §9.3.7", b"OPTIONS /it HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", Passed("OPTIONS /it hello")),
    ("SMUG-GET-CL-PREFIX-DESYNC", "9110 §9.3.1", b"GET /it HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nGET /evil", Passed("GET /it GET /evil")),
    ("SMUG-OPTIONS-TE-OBS-FOLD", "9112 §5.2", b"OPTIONS /it HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello", Refused),
    ("SMUG-PIPELINE-SAFE", "9112 §9.3.2", b"GET /it HTTP/1.1\r\nHost: a\r\n\r\n", Passed("GET /it ")),
    ("COMP-UPGRADE-UNKNOWN", "9110 §7.8", b"GET /it HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: what\r\n\r\n", Passed("GET /it ")),
    ("COMP-UPGRADE-MISSING-CONN", "9110 §7.8", b"GET /it HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", Passed("GET /it ")),
    ("OURS-UPGRADE-H2C", "9113 §3.1", b"GET /it HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", Passed("GET /it ")),
    ("OURS-UPGRADE-WITH-BODY", "9110 §7.8", b"POST /it HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello", Passed("POST /it hello")),
];

const LINES: &[Row] = &[
    ("RFC9112-2.3-HTTP09-REQUEST", "9112 §2.3", b"GET /it", Refused),
    ("RFC9112-2.3-INVALID-VERSION", "9112 §2.3", b"GET /it HTTP/9.9", Refused),
    ("COMP-HTTP12-VERSION", "9112 §2.3", b"GET /it HTTP/1.2", Refused),
    ("COMP-VERSION-MISSING-MINOR", "9112 §2.3", b"GET /it HTTP/1", Refused),
    ("COMP-VERSION-LEADING-ZEROS", "9112 §2.3", b"GET /it HTTP/01.01", Refused),
    ("COMP-VERSION-WHITESPACE", "9112 §2.3", b"GET /it HTTP/ 1.1", Refused),
    ("COMP-VERSION-CASE", "9112 §2.3", b"GET /it http/1.1", Refused),
    ("OURS-VERSION-TRAILING-SPACE", "9112 §3", b"GET /it HTTP/1.1 ", Refused),
    ("OURS-HTTP2-OUT-OF-PLACE", "9113 §3.4", b"GET /it HTTP/2.0", Refused),
    ("RFC9112-3-MULTI-SP-REQUEST-LINE", "9112 §3", b"GET  /it HTTP/1.1", Refused),
    ("OURS-TWO-SPACES-BEFORE-VERSION", "9112 §3", b"GET /it  HTTP/1.1", Refused),
    ("OURS-LEADING-SPACE", "9112 §3", b" GET /it HTTP/1.1", Refused),
    ("COMP-REQUEST-LINE-TAB", "9112 §3", b"GET\t/it\tHTTP/1.1", Refused),
    ("RFC9112-3-MISSING-TARGET", "9112 §3", b"GET HTTP/1.1", Refused),
    ("COMP-SPACE-IN-TARGET", "9112 §3.2", b"GET /i t HTTP/1.1", Refused),
    ("RFC9112-3.2-FRAGMENT-IN-TARGET", "9112 §3.2", b"GET /it#there HTTP/1.1", Refused),
    ("COMP-ASTERISK-WITH-GET", "9112 §3.2.4", b"GET * HTTP/1.1", Refused),
    ("COMP-OPTIONS-STAR", "9112 §3.2.4", b"OPTIONS * HTTP/1.1", Passed("OPTIONS * ")),
    ("OURS-RELATIVE-TARGET", "9112 §3.2", b"GET it HTTP/1.1", Refused),
    ("OURS-TARGET-OF-ANOTHER-SCHEME", "9112 §3.2.2", b"GET ftp://a/it HTTP/1.1", Refused),
    ("OURS-AUTHORITY-FORM", "9112 §3.2.3", b"GET a:80 HTTP/1.1", Refused),
    ("COMP-METHOD-CONNECT", "9110 §9.3.6", b"CONNECT a:443 HTTP/1.1", Refused),
    ("COMP-ABSOLUTE-FORM", "9112 §3.2.2", b"GET http://a/it HTTP/1.1", Passed("GET /it ")),
    ("COMP-METHOD-CASE", "9110 §9.1", b"get /it HTTP/1.1", Passed("get /it ")),
    ("COMP-UNKNOWN-METHOD", "9110 §9.1", b"FROB /it HTTP/1.1", Passed("FROB /it ")),
    ("OURS-METHOD-NOT-A-TOKEN", "9110 §9.1", b"GE(T /it HTTP/1.1", Refused),
    ("COMP-METHOD-TRACE", "9110 §9.3.8", b"TRACE /it HTTP/1.1", Passed("TRACE /it ")),
    ("MAL-NUL-IN-URL", "9112 §3.2", b"GET /i\0t HTTP/1.1", Refused),
    ("OURS-CONTROL-IN-TARGET", "9112 §3.2", b"GET /i\x0bt HTTP/1.1", Refused),
    ("MAL-NON-ASCII-URL", "9112 §3.2", b"GET /\xc3\xa9 HTTP/1.1", Refused),
    ("MAL-URL-OVERLONG-UTF8", "9112 §3.2", b"GET /\xc0\xaf HTTP/1.1", Refused),
    ("MAL-URL-PERCENT-NULL", "3986 §2.1", b"GET /it%00 HTTP/1.1", Passed("GET /it%00 ")),
    ("MAL-URL-PERCENT-CRLF", "3986 §2.1", b"GET /it%0d%0aX:1 HTTP/1.1", Passed("GET /it%0d%0aX:1 ")),
    ("MAL-URL-BACKSLASH", "9112 §3.2", b"GET /a\\..\\it HTTP/1.1", Passed("GET /a\\..\\it ")),
    ("OURS-DOT-SEGMENTS", "3986 §6.2.2", b"GET /a/../%2e%2e//it HTTP/1.1", Passed("GET /a/../%2e%2e//it ")),
];

const FIELDS: &[Row] = &[
    ("RFC9112-2.2-BARE-LF-HEADER", "9112 §2.2", b"X: a\nContent-Length: 5\r\n\r\nhello", Refused),
    ("SMUG-BARE-CR-HEADER-VALUE", "9112 §2.2", b"X: a\rContent-Length: 5\r\n\r\nhello", Refused),
    ("RFC9112-5.1-OBS-FOLD", "9112 §5.2", b"X: a\r\n b: c\r\n\r\n", Refused),
    ("SMUG-TE-OBS-FOLD", "9112 §5.2", b"Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n", Refused),
    ("RFC9110-5.6.2-SP-BEFORE-COLON", "9112 §5.1", b"X : a\r\n\r\n", Refused),
    ("SMUG-TE-SP-BEFORE-COLON", "9112 §5.1", b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", Refused),
    ("NORM-SP-BEFORE-COLON-CL", "9112 §5.1", b"Content-Length : 5\r\n\r\nhello", Refused),
    ("NORM-TAB-IN-NAME", "9110 §5.1", b"Content\tLength: 5\r\n\r\nhello", Refused),
    ("RFC9112-5-EMPTY-HEADER-NAME", "9112 §5", b": a\r\n\r\n", Refused),
    ("RFC9112-5-INVALID-HEADER-NAME", "9112 §5", b"X[a]: b\r\n\r\n", Refused),
    ("RFC9112-5-HEADER-NO-COLON", "9112 §5", b"Xa\r\n\r\n", Refused),
    ("MAL-NON-ASCII-HEADER-NAME", "9110 §5.1", b"X-\xc3\xab: a\r\n\r\n", Refused),
    ("MAL-NUL-IN-HEADER-VALUE", "9110 §5.5", b"X: a\0b\r\n\r\n", Refused),
    ("MAL-CONTROL-CHARS-HEADER", "9110 §5.5", b"X: a\x08b\r\n\r\n", Refused),
    ("OURS-DELETE-IN-VALUE", "9110 §5.5", b"X: a\x7f\r\n\r\n", Refused),
    ("OURS-LATIN1-VALUE", "9110 §5.5", b"X: \xe9\r\n\r\n", Passed("POST /it ")),
    ("SMUG-CL-TE-BOTH", "9112 §6.1", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TECL-DESYNC", "9112 §6.1", b"Transfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\nX", Refused),
    ("SMUG-CLTE-SMUGGLED-GET", "9112 §6.1", b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n", Refused),
    ("SMUG-TE-CASE-MISMATCH", "9112 §6.1", b"Content-Length: 5\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TE-TRAILING-SPACE", "9112 §6.1", b"Content-Length: 5\r\nTransfer-Encoding: chunked \r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-DUPLICATE-CL", "9112 §6.3", b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", Refused),
    ("OURS-DUPLICATE-CL-SAME", "9112 §6.3", b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Refused),
    ("SMUG-CL-COMMA-SAME", "9112 §6.3", b"Content-Length: 5, 5\r\n\r\nhello", Refused),
    ("SMUG-CL-COMMA-DIFFERENT", "9112 §6.3", b"Content-Length: 5, 6\r\n\r\nhello!", Refused),
    ("SMUG-CL-COMMA-TRIPLE", "9112 §6.3", b"Content-Length: 5, 5, 5\r\n\r\nhello", Refused),
    ("RFC9112-6.1-CL-NON-NUMERIC", "9112 §6.3", b"Content-Length: five\r\n\r\nhello", Refused),
    ("RFC9112-6.1-CL-PLUS-SIGN", "9112 §6.3", b"Content-Length: +5\r\n\r\nhello", Refused),
    ("SMUG-CL-NEGATIVE", "9112 §6.3", b"Content-Length: -5\r\n\r\nhello", Refused),
    ("SMUG-CL-NEGATIVE-ZERO", "9112 §6.3", b"Content-Length: -0\r\n\r\n", Refused),
    ("SMUG-CL-HEX-PREFIX", "9112 §6.3", b"Content-Length: 0x5\r\n\r\nhello", Refused),
    ("SMUG-CL-OCTAL", "9112 §6.3", b"Content-Length: 0o5\r\n\r\nhello", Refused),
    ("SMUG-CL-UNDERSCORE", "9112 §6.3", b"Content-Length: 1_0\r\n\r\nhellohello", Refused),
    ("SMUG-CL-INTERNAL-SPACE", "9112 §6.3", b"Content-Length: 1 0\r\n\r\nhellohello", Refused),
    ("SMUG-CL-LEADING-ZEROS", "9110 §8.6", b"Content-Length: 005\r\n\r\nhello", Refused),
    ("SMUG-CL-LEADING-ZEROS-OCTAL", "9110 §8.6", b"Content-Length: 010\r\n\r\nhellohello", Refused),
    ("SMUG-CL-DOUBLE-ZERO", "9110 §8.6", b"Content-Length: 00\r\n\r\n", Refused),
    ("MAL-CL-EMPTY", "9112 §6.3", b"Content-Length:\r\n\r\n", Refused),
    ("MAL-CL-OVERFLOW", "9112 §6.3", b"Content-Length: 99999999999999999999\r\n\r\n", Refused),
    ("OURS-CL-NUL", "9112 §6.3", b"Content-Length: 5\0\r\n\r\nhello", Refused),
    ("OURS-CL-FORM-FEED", "9110 §5.5", b"Content-Length: \x0c5\r\n\r\nhello", Refused),
    ("OURS-CL-ARABIC-DIGIT", "9112 §6.3", b"Content-Length: \xd9\xa5\r\n\r\nhello", Refused),
    ("MAL-CL-TAB-BEFORE-VALUE", "9110 §5.5", b"Content-Length:\t5\r\n\r\nhello", Passed("POST /it hello")),
    ("SMUG-CL-EXTRA-LEADING-SP", "9110 §5.5", b"Content-Length:  5\r\n\r\nhello", Passed("POST /it hello")),
    ("SMUG-CL-TRAILING-SPACE", "9110 §5.5", b"Content-Length: 5 \r\n\r\nhello", Passed("POST /it hello")),
    ("SMUG-CL0-BODY-POISON", "9112 §6.2", b"Content-Length: 0\r\n\r\n", Passed("POST /it ")),
    ("COMP-POST-NO-CL-NO-TE", "9112 §6.3", b"\r\n", Passed("POST /it ")),
    ("SMUG-TE-XCHUNKED", "9112 §6.1", b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", Refused),
    ("COMP-UNKNOWN-TE-501", "9112 §6.1", b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TE-NOT-FINAL-CHUNKED", "9112 §6.3", b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", Refused),
    ("OURS-TE-GZIP-CHUNKED", "9112 §6.1", b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TE-DOUBLE-CHUNKED", "9112 §6.1", b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TE-DUPLICATE-HEADERS", "9112 §6.1", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("OURS-TE-SECOND-IDENTITY", "9112 §6.1", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TE-IDENTITY", "9112 §7", b"Transfer-Encoding: identity\r\n\r\n", Refused),
    ("OURS-TE-CHUNKED-IDENTITY", "9112 §7", b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TE-EMPTY-VALUE", "9112 §6.1", b"Transfer-Encoding:\r\n\r\n", Refused),
    ("SMUG-TE-LEADING-COMMA", "9110 §5.6.1", b"Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TE-TRAILING-COMMA", "9110 §5.6.1", b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-CHUNKED-WITH-PARAMS", "9112 §7", b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TE-VTAB", "9110 §5.5", b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TE-FORMFEED", "9110 §5.5", b"Transfer-Encoding: \x0cchunked\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TE-NULL", "9110 §5.5", b"Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", Refused),
    ("OURS-TE-QUOTED", "9112 §7", b"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", Refused),
    ("SMUG-TE-TAB-BEFORE-VALUE", "9110 §5.5", b"Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n", Passed("POST /it ")),
    ("NORM-CASE-TE", "9110 §5.1", b"TRANSFER-ENCODING: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Passed("POST /it hello")),
    ("NORM-UNDERSCORE-CL", "9110 §5.1", b"Content_Length: 99\r\n\r\n", Passed("POST /it ")),
    ("SMUG-TRANSFER_ENCODING", "9110 §5.1", b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", Passed("POST /it hello")),
    ("OURS-CONNECTION-LISTS-CL", "9110 §7.6.1", b"Connection: content-length\r\nContent-Length: 5\r\n\r\nhello", Passed("POST /it hello")),
    ("OURS-CONNECTION-LISTS-HOST", "9110 §7.6.1", b"Connection: host\r\n\r\n", Passed("POST /it ")),
    ("SMUG-EXPECT-100-CL-DESYNC", "9110 §10.1.1", b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", Passed("POST /it hello")),
    ("COMP-EXPECT-UNKNOWN", "9110 §10.1.1", b"Expect: 200-ok\r\n\r\n", Passed("POST /it ")),
];

const CHUNKS: &[Row] = &[
    ("COMP-CHUNKED-MULTI", "9112 §7.1", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", Passed("POST /it hello")),
    ("COMP-CHUNKED-EMPTY", "9112 §7.1", b"0\r\n\r\n", Passed("POST /it ")),
    (
        "COMP-CHUNKED-HEX-UPPERCASE",
        "9112 §7.1",
        b"A\r\nhellohello\r\n0\r\n\r\n",
        Passed("POST /it hellohello"),
    ),
    ("OURS-CHUNK-LEADING-ZEROS", "9112 §7.1", b"005\r\nhello\r\n000\r\n\r\n", Passed("POST /it hello")),
    (
        "COMP-CHUNKED-EXTENSION",
        "9112 §7.1.1",
        b"5;a=b; c=\"d;\\\"\"\r\nhello\r\n0;e\r\n\r\n",
        Passed("POST /it hello"),
    ),
    (
        "COMP-CHUNKED-TRAILER-VALID",
        "9112 §7.1.2",
        b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
        Passed("POST /it hello"),
    ),
    (
        "SMUG-TRAILER-CL",
        "9110 §6.5.1",
        b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n",
        Passed("POST /it hello"),
    ),
    (
        "SMUG-TRAILER-TE",
        "9110 §6.5.1",
        b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
        Passed("POST /it hello"),
    ),
    ("SMUG-TRAILER-HOST", "9110 §6.5.1", b"5\r\nhello\r\n0\r\nHost: b\r\n\r\n", Passed("POST /it hello")),
    (
        "SMUG-TRAILER-AUTH",
        "9110 §6.5.1",
        b"5\r\nhello\r\n0\r\nAuthorization: b\r\n\r\n",
        Passed("POST /it hello"),
    ),
    ("SMUG-CHUNK-LF-TRAILER", "9112 §2.2", b"5\r\nhello\r\n0\r\n\n", Cut),
    ("OURS-TRAILER-LF", "9112 §2.2", b"5\r\nhello\r\n0\r\nX: a\n\r\n", Cut),
    ("OURS-TRAILER-FOLDED", "9112 §5.2", b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n", Cut),
    ("OURS-TRAILER-NO-COLON", "9112 §5", b"5\r\nhello\r\n0\r\nGET /evil HTTP/1.1\r\n\r\n", Cut),
    ("OURS-TRAILER-SP-BEFORE-COLON", "9112 §5.1", b"5\r\nhello\r\n0\r\nX : a\r\n\r\n", Cut),
    ("SMUG-CHUNK-LF-TERM", "9112 §2.2", b"5\r\nhello\n0\r\n\r\n", Cut),
    ("OURS-CHUNK-SIZE-LF", "9112 §2.2", b"5\nhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-BARE-CR-TERM", "9112 §2.2", b"5\rhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-SPILL", "9112 §7.1", b"5\r\nhello!!\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-MISSING-TRAILING-CRLF", "9112 §7.1", b"5\r\nhello0\r\n\r\n", Cut),
    ("OURS-CHUNK-TWO-BYTES-FOR-CRLF", "9112 §7.1", b"5\r\nhelloXX0\r\n\r\n", Cut),
    ("SMUG-CHUNK-BARE-SEMICOLON", "9112 §7.1.1", b"5;\r\nhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-EXT-INVALID-TOKEN", "9112 §7.1.1", b"5;[a]\r\nhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-EXT-CTRL", "9112 §7.1.1", b"5;a\0\r\nhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-EXT-LF", "9112 §2.2", b"5;a\nb\r\nhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-EXT-CR", "9112 §2.2", b"5;a\rb\r\nhello\r\n0\r\n\r\n", Cut),
    ("OURS-CHUNK-EXT-OPEN-QUOTE", "9112 §7.1.1", b"5;a=\"b\r\nhello\r\n0\r\n\r\n", Cut),
    ("OURS-CHUNK-EXT-NO-VALUE", "9112 §7.1.1", b"5;a=\r\nhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-SIZE-TRAILING-OWS", "9112 §7.1", b"5 \r\nhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-LEADING-SP", "9112 §7.1", b" 5\r\nhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-NEGATIVE", "9112 §7.1", b"-5\r\nhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-SIZE-PLUS", "9112 §7.1", b"+5\r\nhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-INVALID-SIZE-DESYNC", "9112 §7.1", b"+0\r\n\r\nX", Cut),
    ("SMUG-CHUNK-HEX-PREFIX", "9112 §7.1", b"0x5\r\nhello\r\n0\r\n\r\n", Cut),
    ("SMUG-CHUNK-UNDERSCORE", "9112 §7.1", b"1_0\r\nhellohellohello!\r\n0\r\n\r\n", Cut),
    ("OURS-CHUNK-NO-SIZE", "9112 §7.1", b"\r\nhello\r\n0\r\n\r\n", Cut),
    ("MAL-CHUNK-SIZE-OVERFLOW", "9112 §7.1", b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", Cut),
    ("OURS-CHUNK-SIZE-WRAPS-TO-FIVE", "9112 §7.1", b"10000000000000005\r\nhello\r\n0\r\n\r\n", Cut),
];
