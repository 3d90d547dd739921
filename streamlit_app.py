"""Entry point of the dashboard: `streamlit run streamlit_app.py`.

The server imports this module once, for the routes and middleware; every session runs it.
"""

import streamlit as st

from lib.ui import downloads, http_filter, monitoring, navigation, server_lifecycle

if __name__ == "__main__":
    navigation.run()
else:
    app = st.App(
        __file__,
        lifespan=server_lifecycle.lifespan,
        routes=[*downloads.routes(), *monitoring.routes()],
        middleware=http_filter.middleware(),
    )
