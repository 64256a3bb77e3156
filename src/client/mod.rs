//! Requests that the node sends to others: nodes, compute units, whatever speaks HTTP and JSON.

mod answer;
mod call;
pub mod compute_unit;
mod endpoint;
mod error;
mod http;
pub mod node;
mod peers;
pub mod process;
pub mod receiver;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

pub use call::Call;
pub use endpoint::Endpoint;
pub use error::ClientError;
pub use http::{Client, Options};
pub use peers::{Peer, Peers};
