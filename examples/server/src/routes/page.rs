//! The page, with its client library and service worker.

use std::future::ready;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use sha2::{Digest as _, Sha256};

use crate::reply::unrouted;
use crate::state::App;

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const MANIFEST: &str = "application/manifest+json";
const PNG: &str = "image/png";
const SVG: &str = "image/svg+xml";

macro_rules! file {
    ($kind:ident, $name:literal) => {
        File { name: $name, kind: $kind, content: include_bytes!(concat!("../../page/", $name)) }
    };
}

/// What `/` is for browsers.
const PAGE: File = file!(HTML, "page.html");

/// Everything else, each at its own name.
const FILES: &[File] = &[
    file!(PNG, "icon.png"),
    file!(SVG, "icon.svg"),
    file!(MANIFEST, "manifest.webmanifest"),
    file!(JS, "page-channels.js"),
    file!(JS, "page-dashboard.js"),
    file!(JS, "page-device.js"),
    file!(JS, "page-dom.js"),
    file!(JS, "page-figures.js"),
    file!(JS, "page-messages.js"),
    file!(JS, "page-plot.js"),
    file!(JS, "page-publish.js"),
    file!(CSS, "page.css"),
    file!(JS, "page.js"),
    file!(JS, "push-channels-api.js"),
    file!(JS, "push-channels-browser.js"),
    file!(JS, "push-channels.js"),
    file!(JS, "service-worker.js"),
];

/// Nothing but these files runs, and nothing is asked of another host. It holds for the worker too, which brings its
/// own policy.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

/// Each file of the page by its path.
pub(crate) fn router() -> Router<Arc<App>> {
    FILES.iter().fold(Router::new().route("/", any(root)), |router, file| {
        let tag = tag(file.content);
        let handler = move |headers: HeaderMap| ready(answer(file, &tag, &headers));
        router.route(&format!("/{}", file.name), get(handler))
    })
}

/// The page for those who ask for HTML; programs are sent to the API, as the original does with all.
async fn root(method: Method, headers: HeaderMap, uri: Uri) -> Response {
    static TAG: LazyLock<HeaderValue> = LazyLock::new(|| tag(PAGE.content));
    let mut response = if matches!(method, Method::GET | Method::HEAD) && wants_html(&headers) {
        answer(&PAGE, &TAG, &headers)
    } else {
        unrouted(uri).await
    };
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    response
}

/// A wildcard does not count: that is what programs send that do not care.
fn wants_html(headers: &HeaderMap) -> bool {
    elements(headers, &ACCEPT).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"))
            && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn answer(file: &File, tag: &HeaderValue, headers: &HeaderMap) -> Response {
    let common = [
        (ETAG, tag.clone()),
        // Stored, and asked for each time: a new release of the server is there at once.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    let known = elements(headers, &IF_NONE_MATCH)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes());
    if known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(CONTENT_TYPE, HeaderValue::from_static(file.kind))], file.content).into_response()
}

/// The elements of a list that may be spread over several lines.
fn elements<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',').map(str::trim))
}

fn tag(content: &[u8]) -> HeaderValue {
    let digest = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(content)[..16]);
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("base64url is a header's value")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture has none.
    fn text(file: &File) -> &str {
        std::str::from_utf8(file.content).unwrap_or_default()
    }

    /// The quoted words of a text that follow one of these.
    fn quoted_after<'a>(text: &'a str, leads: &[&str]) -> Vec<&'a str> {
        let after = |lead: &&str| text.split(*lead).skip(1).collect::<Vec<_>>();
        let quoted = leads.iter().flat_map(after).filter_map(|rest| rest.split('"').next());
        quoted.collect()
    }

    fn is_served(name: &str) -> bool {
        name.is_empty() || name.starts_with("v0/") || FILES.iter().any(|file| file.name == name)
    }

    #[test]
    fn every_file_of_the_directory_is_served() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/page");
        let served = |name: &str| is_served(name) || name == PAGE.name;
        for entry in std::fs::read_dir(directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(served(&name) || ["package.json", "tests"].contains(&name.as_str()), "{name}");
        }
    }

    #[test]
    fn every_reference_leads_to_a_file() {
        let mut found = 0;
        for reference in quoted_after(text(&PAGE), &["src=\"/", "href=\"/"]) {
            assert!(is_served(reference), "{reference} of the page");
            found += 1;
        }
        for file in FILES {
            for reference in quoted_after(text(file), &["from \"./", "\"src\": \"/", "serviceWorker = \"/"]) {
                assert!(is_served(reference), "{reference} of {}", file.name);
                found += 1;
            }
        }
        assert!(found > 20, "{found}");
    }

    /// Names of XML, and hosts that documentation may name.
    const NO_REQUEST: &[&str] = &["http://www.w3.org/2000/svg", "https://push.example.com"];

    #[test]
    fn no_file_asks_another_host() {
        for file in FILES.iter().chain([&PAGE]) {
            for (at, _) in text(file).match_indices("://") {
                let start = text(file)[..at].rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |i| i + 1);
                let url = &text(file)[start..];
                let words = url.starts_with("http://localhost");
                assert!(
                    words || NO_REQUEST.iter().any(|known| url.starts_with(known)),
                    "{}: {}",
                    file.name,
                    &url[..url.len().min(60)]
                );
            }
        }
    }

    #[test]
    fn the_page_holds_nothing_that_its_policy_forbids() {
        let page = text(&PAGE).to_ascii_lowercase();
        for inline in ["<style", " style=", " onclick=", " onload=", " onsubmit=", "=\"javascript:", "<base"]
        {
            assert!(!page.contains(inline), "{inline}");
        }
        assert!(page.split("<script").skip(1).all(|script| script.contains("src=\"/page.js\"></script>")));
        for file in FILES.iter().filter(|file| file.kind == JS) {
            for risky in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!text(file).contains(risky), "{risky} in {}", file.name);
            }
        }
    }

    #[test]
    fn elements_of_the_page_that_scripts_name_are_there() {
        for file in FILES.iter().filter(|file| file.kind == JS) {
            for id in quoted_after(text(file), &["byId(\""]) {
                assert!(text(&PAGE).contains(&format!("id=\"{id}\"")), "#{id} of {}", file.name);
            }
        }
    }

    #[test]
    fn html_is_for_those_who_name_it() {
        let wants = |accept: &'static str| {
            wants_html(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(wants("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(wants("application/json, TEXT/HTML;q=0.1"));
        assert!(!wants("*/*"));
        assert!(!wants("application/json"));
        assert!(!wants("text/html;q=0, */*"));
        assert!(!wants_html(&HeaderMap::new()));
    }
}
