"""The optimisation that networks replace: Gatys, Ecker, Bethge 2016."""
