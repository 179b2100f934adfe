//! First come, first served: who waits for a permit.
