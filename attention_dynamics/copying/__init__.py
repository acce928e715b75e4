"""The copying task: data, models, training many of them."""
