import PluginAPI

/// The shop's API: `/credits`, `/projects` and `/generations` under the plugin's mount.
struct DomainRouter: Router {
  static let plugin = PluginDescription(
    name: "domain-routes", version: "1.0.0", summary: "Credits, projects and generations.")

  let domain: Domain

  init(_ start: Start<DomainSettings>) throws {
    domain = try Domain(start)
    try domain.start()
  }

  func routes(_ routes: inout Routes) {
    CreditRoutes(domain: domain).add(to: &routes)
    ProjectRoutes(domain: domain).add(to: &routes)
    GenerationRoutes(domain: domain).add(to: &routes)
    DescriptionRoute(mount: domain.mount).add(to: &routes)
  }

  func selfTest() throws { try domain.selfTest() }

  func stop() { domain.stop() }
}
