/// One step of a schema, in the language that the engines share: see `Dialect`.
public struct Script: Sendable, ExpressibleByStringLiteral {
  private enum Part: Sendable {
    case tables(String)
    case own(String, Dialect)
    case guardian(Guard)
  }

  private var parts: [Part]

  /// Tables and indexes.
  public init(stringLiteral text: String) { parts = [.tables(text)] }

  /// Tables and indexes, and what guards them.
  public init(_ tables: String = "", guards: [Guard] = []) {
    parts = [.tables(tables)] + guards.map(Part.guardian)
  }

  /// Statements that only one engine is given, in its own language.
  public init(only dialect: Dialect, _ statements: String) { parts = [.own(statements, dialect)] }

  /// One script after the other, as one step.
  public static func + (first: Script, second: Script) -> Script {
    var both = first
    both.parts += second.parts
    return both
  }

  /// The statements to run.
  public func text(in dialect: Dialect) -> String {
    parts.compactMap { part in
      switch part {
      case .tables(let text): dialect.schema(text)
      case .own(let text, let owner): owner == dialect ? text : nil
      case .guardian(let rule): rule.text(in: dialect)
      }
    }.joined(separator: ";\n")
  }
}

/// A rule that the database enforces before a row changes: a trigger, whatever the engine calls for.
public struct Guard: Sendable {
  public enum Event: String, Sendable {
    case insert = "INSERT"
    case update = "UPDATE"
    case delete = "DELETE"
  }

  public let name: String
  private let event: Event
  private let table: String
  private let condition: String?
  private let message: String

  /// - Parameters:
  ///   - name: The trigger's, unique in the schema.
  ///   - condition: When the change is refused; SQL on `NEW` and `OLD`. nil: always.
  ///   - message: For who reads the log.
  public init(
    _ name: String, before event: Event, on table: String, refusing condition: String? = nil, message: String
  ) {
    self.name = name
    self.event = event
    self.table = table
    self.condition = condition
    self.message = message
  }

  func text(in dialect: Dialect) -> String {
    let quoted = "'" + message.replacing("'", with: "''") + "'"
    switch dialect {
    case .sqlite:
      return """
        CREATE TRIGGER \(name) BEFORE \(event.rawValue) ON \(table)\(condition.map { " WHEN \($0)" } ?? "")
        BEGIN SELECT RAISE(ABORT, \(quoted)); END;

        """
    case .postgreSQL:
      let raise = "RAISE EXCEPTION USING MESSAGE = \(quoted);"
      let check = condition.map { "IF \($0) THEN \(raise) END IF;" } ?? raise
      // The path is the function's own: the guard holds for whoever comes, from whatever schema.
      let function = """
        CREATE FUNCTION \(name)() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $guard$
        BEGIN \(check) RETURN \(event == .delete ? "OLD" : "NEW"); END $guard$;
        CREATE TRIGGER \(name) BEFORE \(event.rawValue) ON \(table)
          FOR EACH ROW EXECUTE FUNCTION \(name)();

        """
      // TRUNCATE passes by the triggers of rows.
      guard event == .delete, condition == nil else { return function }
      return function + """
        CREATE TRIGGER \(name)_by_truncate BEFORE TRUNCATE ON \(table)
          FOR EACH STATEMENT EXECUTE FUNCTION \(name)();

        """
    }
  }
}
