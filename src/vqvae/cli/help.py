"""What ``vqvae COMMAND --help`` shows. Nothing heavy is imported for it."""

import textwrap

from vqvae.cli.pages import PAGES

WIDTH = 110
"""The maximum number of characters in a line."""


def short_help(command: str) -> str:
    """The short help of a command. Its last line names the full help."""
    page = PAGES[command]
    width = max(len(words) for words, _ in page.arguments)
    lines = [f"usage: vqvae {command} {page.usage}".rstrip(), "", page.about, "", "Examples:"]
    lines += [f"  vqvae {command} {example}".rstrip() for example in page.examples]
    lines += ["", "Arguments:"]
    for words, meaning in page.arguments:
        first, *rest = textwrap.wrap(meaning, WIDTH - width - 4)
        lines += [f"  {words:<{width}}  {first}", *(f"  {'':<{width}}  {line}" for line in rest)]
    last = f"vqvae {command} --help-all lists every flag. A prefix no- turns a switch off: --no-json."
    return "\n".join([*lines, "", *([page.more] if page.more else []), last])
