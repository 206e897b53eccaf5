//! As much of HTTP as it takes to answer `GET /metrics`: one request per connection, read to the end of its
//! head, and one response, after which the connection is closed. Everything in the head but its first line
//! and `Accept` is skipped.

use super::openmetrics;
use zct_wire::text::metrics::CONTENT_TYPE;

/// Bytes that a request may have; what Prometheus sends has about 300.
pub const REQUEST_MAX: usize = 1024;

/// The format of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// What is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpAsked {
    /// The metrics; `body` is false for HEAD.
    Metrics {
        /// The format that is preferred.
        format: Format,
        /// Whether more than the head of the response is wanted.
        body: bool,
    },
    /// The page that says where the metrics are.
    Front {
        /// Whether more than the head of the response is wanted.
        body: bool,
    },
    /// A path that does not exist.
    NotFound,
    /// A method other than GET and HEAD.
    Method,
    /// Not a request of HTTP/1.0 or 1.1.
    Nonsense,
    /// A request of more bytes than [`REQUEST_MAX`].
    TooLong,
}

/// Judges the bytes that have come so far; `None` as long as the request is not complete.
pub fn read(bytes: &[u8]) -> Option<HttpAsked> {
    let Some(head) = complete(bytes) else {
        return (bytes.len() >= REQUEST_MAX).then_some(HttpAsked::TooLong);
    };
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(b"HTTP/1.0" | b"HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Some(HttpAsked::Nonsense);
    };
    let body = match method {
        b"GET" => true,
        b"HEAD" => false,
        _ => return Some(HttpAsked::Method),
    };
    let path = target.split(|b| *b == b'?').next().unwrap_or_default();
    Some(match path {
        b"/metrics" => HttpAsked::Metrics { format: format(head), body },
        b"/" => HttpAsked::Front { body },
        _ => HttpAsked::NotFound,
    })
}

/// The format that the `Accept` headers prefer.
fn format(head: &[u8]) -> Format {
    let accepts = head.split(|b| *b == b'\n').filter_map(|line| {
        let (name, value) = line.split_at_checked(line.iter().position(|b| *b == b':')?)?;
        name.eq_ignore_ascii_case(b"accept").then(|| value.strip_prefix(b":").unwrap_or(value))
    });
    if openmetrics::is_preferred(accepts) { Format::OpenMetrics } else { Format::Text }
}

/// The head of a request with the empty line at its end.
fn complete(bytes: &[u8]) -> Option<&[u8]> {
    let mut line = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' {
            if matches!(bytes.get(line..at), Some(b"" | b"\r")) {
                return bytes.get(..at);
            }
            line = at + 1;
        }
    }
    None
}

/// The whole response; `metrics`, in Prometheus's format, is asked for only where they are wanted.
pub fn response(asked: HttpAsked, metrics: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    const PLAIN: &str = "text/plain; charset=utf-8";
    let (status, kind, text, body) = match asked {
        HttpAsked::Metrics { format: Format::Text, body } => ("200 OK", CONTENT_TYPE, metrics(), body),
        HttpAsked::Metrics { format: Format::OpenMetrics, body } => {
            ("200 OK", openmetrics::CONTENT_TYPE, openmetrics::from_text(&metrics()), body)
        }
        HttpAsked::Front { body } => ("200 OK", PLAIN, b"zctd: the metrics are at /metrics\n".to_vec(), body),
        HttpAsked::NotFound => ("404 Not Found", PLAIN, b"the metrics are at /metrics\n".to_vec(), true),
        HttpAsked::Method => ("405 Method Not Allowed", PLAIN, b"GET and HEAD alone\n".to_vec(), true),
        HttpAsked::Nonsense => ("400 Bad Request", PLAIN, b"no HTTP/1.1 request\n".to_vec(), true),
        HttpAsked::TooLong => {
            ("431 Request Header Fields Too Large", PLAIN, b"at most 1024 bytes\n".to_vec(), true)
        }
    };
    let allow = if asked == HttpAsked::Method { "Allow: GET, HEAD\r\n" } else { "" };
    let length = text.len();
    let mut out = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n"
    )
    .into_bytes();
    if body {
        out.extend(text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_judged_when_it_is_complete() {
        let text = b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
        for len in 0..text.len() {
            assert_eq!(read(&text[..len]), None, "{len}");
        }
        let plain = |body| Some(HttpAsked::Metrics { format: Format::Text, body });
        assert_eq!(read(text), plain(true));
        assert_eq!(read(b"GET /metrics?name=x HTTP/1.0\n\n"), plain(true));
        assert_eq!(read(b"HEAD /metrics HTTP/1.1\r\n\r\nmore"), plain(false));
        assert_eq!(read(b"GET / HTTP/1.1\r\n\r\n"), Some(HttpAsked::Front { body: true }));
    }

    #[test]
    fn headers_choose_the_format() {
        let open = b"GET /metrics HTTP/1.1\r\nHost: a\r\naccept: application/openmetrics-text\r\n\r\n";
        let asked = HttpAsked::Metrics { format: Format::OpenMetrics, body: true };
        assert_eq!(read(open), Some(asked));
        let answer = String::from_utf8(response(asked, || b"a 1\n".to_vec())).unwrap();
        assert!(answer.ends_with("Content-Length: 10\r\nConnection: close\r\n\r\na 1\n# EOF\n"), "{answer}");
        assert!(
            answer
                .contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n")
        );
        // A header of a similar name, and the same words elsewhere.
        let other = b"GET /metrics HTTP/1.1\r\nX-Accept: application/openmetrics-text\r\n\
                      accept-charset: application/openmetrics-text\r\n:\r\n\r\n";
        assert_eq!(read(other), Some(HttpAsked::Metrics { format: Format::Text, body: true }));
    }

    #[test]
    fn everything_else_is_refused() {
        for (line, asked) in [
            ("GET /metrics/x HTTP/1.1", HttpAsked::NotFound),
            ("GET http://h/metrics HTTP/1.1", HttpAsked::NotFound),
            ("POST /metrics HTTP/1.1", HttpAsked::Method),
            ("get /metrics HTTP/1.1", HttpAsked::Method),
            ("GET /metrics HTTP/2.0", HttpAsked::Nonsense),
            ("GET /metrics", HttpAsked::Nonsense),
            ("GET  /metrics HTTP/1.1", HttpAsked::Nonsense),
            ("GET /metrics HTTP/1.1 x", HttpAsked::Nonsense),
            ("PRI * HTTP/2.0", HttpAsked::Nonsense),
            ("", HttpAsked::Nonsense),
        ] {
            assert_eq!(read(format!("{line}\r\n\r\n").as_bytes()), Some(asked), "{line}");
        }
        assert_eq!(read(&[b'x'; REQUEST_MAX - 1]), None);
        assert_eq!(read(&[b'x'; REQUEST_MAX]), Some(HttpAsked::TooLong));
    }

    #[test]
    fn the_length_is_that_of_the_body_even_without_one() {
        let whole = |asked| String::from_utf8(response(asked, || b"a 1\n".to_vec())).unwrap();
        let want = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
                    Content-Length: 4\r\nConnection: close\r\n\r\n";
        let plain = |body| HttpAsked::Metrics { format: Format::Text, body };
        assert_eq!(whole(plain(true)), format!("{want}a 1\n"));
        assert_eq!(whole(plain(false)), want);
        assert!(whole(HttpAsked::Method).contains("\r\nAllow: GET, HEAD\r\n"));
        // Nothing is put together for those who want something else.
        for asked in
            [HttpAsked::Front { body: true }, HttpAsked::NotFound, HttpAsked::Nonsense, HttpAsked::TooLong]
        {
            assert!(!response(asked, || panic!("not asked for")).is_empty());
        }
    }
}
