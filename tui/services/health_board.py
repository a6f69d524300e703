"""The findings about one run as one viewer sees them: newest first, some acknowledged."""

from ...core.health.findings import Finding


class HealthBoard:
    """Keeps in which order findings came, and which of them the viewer has taken note of."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        """Newest first; those found together with errors first."""
        self.well = True
        """Whether the run is at work, or ended as it should."""
        self._seen: set[tuple[str, int]] = set()

    def update(self, found: list[Finding]) -> list[Finding]:
        """Takes what is found now; returns what was not found before."""
        now = {each.identity: each for each in found}
        before = [each.identity for each in self.findings]
        new = [each for each in found if each.identity not in before]
        self.findings = [*new, *(now[key] for key in before if key in now)]
        self._seen &= now.keys()  # what fires again is told again
        return new

    def acknowledge(self, finding: Finding) -> None:
        """Takes note of a finding, or no longer."""
        self._seen ^= {finding.identity}

    def is_acknowledged(self, finding: Finding) -> bool:
        """Returns whether the viewer has taken note of a finding."""
        return finding.identity in self._seen

    @property
    def open(self) -> list[Finding]:
        """The findings that the viewer has not taken note of."""
        return [each for each in self.findings if not self.is_acknowledged(each)]
