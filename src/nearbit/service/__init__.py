"""The HTTP service: search in an index for people, by a page, and for programs, by an API; safe by default.

`nearbit serve` runs it (`nearbit.service.serving.serve`); `nearbit.service.app.make_app` is the application alone.
"""
