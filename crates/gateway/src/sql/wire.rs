//! The protocol: frames, the front that clients see, the connection behind, and the relay between them.
