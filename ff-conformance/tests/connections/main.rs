//! What only the way to a real server can show: TLS, credentials, rights, and servers in trouble.

mod front;
mod life;
mod native;
mod page;
mod postgres;
mod valkey;
