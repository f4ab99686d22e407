//! What never becomes a request, and who is told of it.

mod lengths;
