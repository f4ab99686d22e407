//! Connections that go on in another protocol.

mod other_protocols;
mod websocket;
