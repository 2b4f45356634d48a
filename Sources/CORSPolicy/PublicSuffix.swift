/// True if anyone can have a name directly below `domain`, so that a wildcard over it is as wide as `*`.
///
/// The Public Suffix List has ten thousand entries and changes weekly; this knows its rules of thumb: a
/// single label (`com`), the registries' second levels (`co.uk`), and the hosting platforms that hand out
/// subdomains. It catches what is written by mistake, and is no substitute for the operator's judgement.
/// `localhost` never leaves the machine (RFC 6761 section 6.3), and is not one.
///
/// - Parameter domain: in lower case, without a trailing dot.
func isPublicSuffix(_ domain: String) -> Bool {
  let labels = domain.split(separator: ".")
  switch labels.count {
  case 0: return true
  case 1: return domain != "localhost"
  case 2 where labels[1].count == 2 && registrySecondLevels.contains(String(labels[0])): return true
  default: return hostingSuffixes.contains(domain)
  }
}

/// Second levels under country codes: co.uk, com.au, or.jp.
private let registrySecondLevels: Set<String> = [
  "ac", "co", "com", "edu", "go", "gob", "gouv", "gov", "gv", "ne", "net", "or", "org",
]

private let hostingSuffixes: Set<String> = [
  "azurewebsites.net", "blogspot.com", "cloudfront.net", "firebaseapp.com", "fly.dev", "github.io",
  "gitlab.io",
  "herokuapp.com", "netlify.app", "ngrok.app", "ngrok.io", "ngrok-free.app", "onrender.com", "pages.dev",
  "railway.app", "run.app", "s3.amazonaws.com", "surge.sh", "up.railway.app", "vercel.app", "web.app",
  "workers.dev",
]
