"""How the small model in the box was made; no part of the product imports this."""
