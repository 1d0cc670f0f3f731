from .doctor import examine as examine
from .finding import Finding as Finding
