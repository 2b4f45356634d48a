import PluginTesting

/// A plugin's entry in `/__diag/plugins`.
struct WayEntry: Sendable {
  private let entry: JSONValue

  init(_ entry: JSONValue) { self.entry = entry }

  var name: String { entry["name"].string ?? "" }
  var state: String { entry["state"].string ?? "not there" }
  var isOut: Bool { state == "quarantined" || state == "failed" }
  var reason: String { entry["reason"].string ?? entry["last_fault"]["reason"].string ?? "no reason" }
  var fault: String? { entry["last_fault"]["id"].string }
  /// The fault is one of a worker that another plugin had spoilt before.
  var isCollateral: Bool { entry["last_fault"]["collateral"].bool ?? false }
  var message: String {
    entry["message"].string ?? entry["last_fault"]["message"].string ?? ""
  }
}
