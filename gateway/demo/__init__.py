"""What `scopegate demo` stands in front of: a sample maintenance API, in memory."""
