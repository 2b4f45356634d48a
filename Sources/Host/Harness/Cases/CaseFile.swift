/// A file of declarative cases for one plugin (`NAME.case`): see docs/harness.md for the format.
struct CaseFile: Sendable, Equatable {
  /// As it was named; messages begin with it.
  var path: String
  /// Sections as in plugins.conf that hold for every case: `[host]`, `[cors]`, `[plugin NAME]`, and `[plugin]` for the
  /// plugin under test. Each with the lines below its header.
  var sections: [Section] = []
  var cases: [Case] = []

  struct Section: Sendable, Equatable {
    /// `[host]`; `[plugin]` for the plugin under test.
    var title: String
    var lines: [SettingLine] = []
  }

  /// `key = value`, as it stands in the file.
  struct SettingLine: Sendable, Equatable {
    var key: String
    /// The whole line.
    var text: String
  }

  static let suffix = ".case"
  /// In bytes.
  static let maximum = 4 << 20
}

/// One case: a plugin started afresh in a process of its own, and the steps that it is taken through.
struct Case: Sendable, Equatable {
  var name: String
  var line: Int
  /// Over those of the file's `[plugin]`.
  var settings: [CaseFile.SettingLine] = []
  /// Nil: the plugin is to start.
  var start: StartExpectation?
  var steps: [Step] = []

  /// The plugin is not to start.
  struct StartExpectation: Sendable, Equatable {
    var line: Int
    var reason: Quarantine.Reason
    /// Of what it says of itself.
    var checks: [Check] = []
  }
}

/// One request, and what its answer is to be.
struct Step: Sendable, Equatable {
  var line: Int
  var method: String
  var target: String
  /// In order; with `{{name}}` for what earlier steps have captured.
  var fields: [Field] = []
  var body: [UInt8] = []
  var circumstances = Circumstances()
  /// Nil for any status below 500.
  var status: Int?
  /// The plugin is to fail this request, and so.
  var fault: Quarantine.Reason?
  var checks: [Check] = []
  var captures: [Capture] = []

  struct Field: Sendable, Equatable {
    var name: String
    var value: String
  }

  /// What surrounds the plugin, as `@` lines say.
  struct Circumstances: Sendable, Equatable {
    /// As an earlier middleware would have set it.
    var identity: TestIdentity?
    var client = "192.0.2.1"
    /// What lies behind the plugin, for paths that are not its own.
    var downstream = Downstream()
    /// No route matches, unless it is the plugin's.
    var isUnrouted = false
    /// How often it is sent; every answer must be as expected.
    var repetitions = 1
    /// Sent again until the answer is as expected, for so long; nil: once.
    var patience: Duration?
    /// The answer must come within.
    var limit: Duration?
  }
}

/// Who a request comes from, in a test.
struct TestIdentity: Sendable, Equatable {
  var subject: String
  var email = ""
  var role = ""
  var scopes: [String] = []
}

/// The route behind a middleware under test.
struct Downstream: Sendable, Equatable {
  var access = Access.public
  var status = 200
  var fields: [Step.Field] = []
  /// Nil: JSON that tells the request as the handler saw it.
  var body: String?
}

/// One thing that must hold of an answer.
struct Check: Sendable, Equatable {
  enum Subject: Sendable, Equatable {
    case field(String)
    /// A member by its path: `user.email`, `items[0].id`; empty for the whole.
    case json(String)
    case body
  }

  enum Condition: Sendable, Equatable {
    case equals(String)
    case differs(String)
    case contains(String)
    case lacks(String)
    /// A regular expression, somewhere in the value.
    case matches(String)
    case exists
    case absent
    /// Of numbers, strictly.
    case above(Double)
    case below(Double)
    /// A JSON type's name.
    case isOfType(String)
    /// Bytes of a body, members of an array or object, characters of a string.
    case hasCount(Int)
  }

  var line: Int
  var subject: Subject
  var condition: Condition
}

/// A value that later steps use as `{{name}}`.
struct Capture: Sendable, Equatable {
  var line: Int
  var name: String
  var subject: Check.Subject
  /// The first group of this expression, or all that it matches; nil for the whole value.
  var pattern: String?
}
