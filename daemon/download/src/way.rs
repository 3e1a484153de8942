//! The one place where Greenlit gets a way to the network. Offline there is none but to this machine.

use std::net::IpAddr;

use ureq::config::ConfigBuilder;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::{Agent, Proxy};

use crate::client::Options;
use crate::error::DownloadError;

/// A way to wherever a download leads; `None` when offline.
pub(crate) fn anywhere(options: &Options) -> Result<Option<Agent>, DownloadError> {
    let config = with_proxy(config(options), options)?;
    Ok((!options.offline).then(|| config.build().into()))
}

/// A way to one endpoint, for other conversations than downloads. Redirects are not followed: they
/// could lead elsewhere. No proxy hears what is meant for this machine.
///
/// # Errors
/// When the network is forbidden and the endpoint is not on this machine, or the proxy's address is none.
pub fn way(options: &Options, url: &str) -> Result<Agent, DownloadError> {
    let here = is_loopback(url);
    if options.offline && !here {
        return Err(DownloadError::Offline { url: url.to_owned() });
    }
    let config = config(options).max_redirects(0);
    let config = if here { config.proxy(None) } else { with_proxy(config, options)? };
    Ok(config.build().into())
}

/// Whether an address names this machine by a name that nobody else can answer for.
pub fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    address || host.eq_ignore_ascii_case("localhost")
}

fn config(options: &Options) -> ConfigBuilder<AgentScope> {
    // The certificates of the machine: companies install their own.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .http_status_as_error(false)
        .tls_config(tls)
        .timeout_connect(Some(options.connect_timeout))
        .timeout_recv_response(Some(options.idle_timeout))
        .timeout_per_read(Some(options.idle_timeout))
        .user_agent(concat!("greenlit/", env!("CARGO_PKG_VERSION")))
}

fn with_proxy(
    config: ConfigBuilder<AgentScope>,
    options: &Options,
) -> Result<ConfigBuilder<AgentScope>, DownloadError> {
    let Some(proxy) = &options.proxy else { return Ok(config) };
    let parsed = Proxy::new(proxy).map_err(|source| DownloadError::Proxy {
        proxy: proxy.clone(),
        source: Box::new(source),
    })?;
    Ok(config.proxy(Some(parsed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_addresses_and_one_name() {
        for url in [
            "http://127.0.0.1:8080/v1",
            "http://localhost/v1",
            "http://[::1]:1/",
            "https://127.9.9.9",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "http://0.0.0.0",
            "http://localhost@example.com/",
            "http://example.com/localhost",
            "localhost-is-not-a-url/",
            "",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn offline_there_is_no_way_but_to_this_machine() {
        let offline = Options { offline: true, ..Options::default() };
        assert!(matches!(
            way(&offline, "https://example.com/v1"),
            Err(DownloadError::Offline { .. })
        ));
        assert!(way(&offline, "http://127.0.0.1:1/v1").is_ok());
        assert!(anywhere(&offline).unwrap().is_none());
    }
}
