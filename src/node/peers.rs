//! Who is asked with a token.

use super::NodeError;
use crate::client::Peer;
use crate::config::{Config, PeerConfig};

/// The peers of the configuration.
///
/// # Errors
/// One of them has no address that can be asked.
pub(super) fn of(config: &Config) -> Result<Vec<Peer>, NodeError> {
    let peer = |(index, peer): (usize, &PeerConfig)| {
        let refused = |error| NodeError::Setup(format!("{}: peer[{index}]: {error}", config.origin));
        Peer::new(&peer.url, peer.token.expose()).map_err(refused)
    };
    config.peers.iter().enumerate().map(peer).collect()
}
