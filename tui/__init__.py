"""The Textual application for work on site. It talks to a running gateway through `gateway.control`'s client."""
