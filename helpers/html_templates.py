"""The templates of the pages that people read."""

import jinja2


def load_template(name: str) -> jinja2.Template:
    """Return a template of `helpers/templates`: it escapes, and a missing value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("helpers"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
