"""Between HTTP and the service: middleware, limits, parameters, uploads, and errors."""
