"""The OpenAPI document: what is asked, and what is answered."""
