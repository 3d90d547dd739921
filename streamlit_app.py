"""Entry of the dashboard: `streamlit run streamlit_app.py`."""

from lib.ui import navigation

navigation.run()
