/// Results as JUnit XML, in the form that CI servers read: one `testsuite`, a `testcase` each.
enum JUnitReport {
  static func xml(_ summary: HarnessSummary, suite: String) -> String {
    let time = summary.results.reduce(UInt64(0)) { $0 + $1.took.nanoseconds }
    var xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
    xml += "<testsuite name=\(attribute(suite)) tests=\"\(summary.results.count)\" "
    xml +=
      "failures=\"\(summary.failed)\" skipped=\"\(summary.skipped)\" errors=\"0\" time=\"\(seconds(time))\">\n"
    for result in summary.results {
      xml += "<testcase classname=\(attribute(suite)) name=\(attribute(result.name)) "
      xml += "file=\(attribute(file(of: result.place))) time=\"\(seconds(result.took.nanoseconds))\""
      if let failure = result.failure {
        let place = failure.place ?? result.place
        xml += ">\n<failure message=\(attribute("\(place): \(failure.message)"))>"
        let again = failure.repeatCommand.map { ["again: \($0)"] } ?? []
        xml += escaped((failure.details + again).joined(separator: "\n")) + "</failure>\n</testcase>\n"
      } else if let why = result.skipped {
        xml += "><skipped message=\(attribute(why))/></testcase>\n"
      } else {
        xml += "/>\n"
      }
    }
    return xml + "</testsuite>\n</testsuites>\n"
  }

  private static func file(of place: String) -> String {
    guard let colon = place.lastIndex(of: ":") else { return place }
    return String(place[..<colon])
  }

  private static func seconds(_ nanoseconds: UInt64) -> String {
    let milliseconds = nanoseconds / 1_000_000
    let fraction = String(milliseconds % 1000)
    return "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)"
  }

  private static func attribute(_ text: String) -> String { "\"\(escaped(text))\"" }

  /// What XML 1.0 has no place for, most controls, becomes U+FFFD.
  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "\n": result += "&#10;"
      case "\t", "\r": result += "&#\(scalar.value);"
      case "\0"..."\u{1f}", "\u{fffe}", "\u{ffff}": result += "\u{fffd}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
