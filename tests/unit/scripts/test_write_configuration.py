from scripts.write_configuration import TARGET, page


def test_the_configuration_page_lists_every_setting_as_it_is() -> None:
    assert TARGET.read_text() == page()
