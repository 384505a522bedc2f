"""The Wasm host: runs user modules on whole batches, inside limits of time and memory."""
