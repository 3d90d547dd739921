"""What the pages share: the frame, filters, tables, export, language. The only home of widgets."""
