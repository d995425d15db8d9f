//! Reads `.deb` files.
