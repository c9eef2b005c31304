//! Sample services, clients and faults for tests.
